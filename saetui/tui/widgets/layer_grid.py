"""The layers of the chosen model, each to be selected; and the hook points in each."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip

from saetui.display.text import fit
from saetui.spec.architectures import HOOK_POINTS
from saetui.spec.problems import Problem
from saetui.tui.widgets.field_row import VALUE_COLUMN, problem_line, under_value
from saetui.tui.widgets.line_canvas import Piece, line
from saetui.tui.widgets.toggle_grid import ToggleGrid

MANY_LAYERS = 4
"""Above so many, a hint tells what more layers cost."""

_PREFERRED_COLUMNS = (16, 12, 10, 8, 6, 4)


class LayerGrid(ToggleGrid[int]):
    """One toggle for each layer. Selected layers that the model does not have are shown as errors, to be removed."""

    def __init__(self) -> None:
        super().__init__(id="layers")
        self._layers: int | None = None
        self._problem: Problem | None = None

    def show(self, layers: int | None, selected: Sequence[int], problem: Problem | None = None) -> None:
        """Bring the grid up to date.

        Args:
            layers: how many the model has; None: not known.
            selected: the chosen ones.
            problem: with the selection.
        """
        self._layers = layers
        self._problem = problem
        beyond = sorted(layer for layer in selected if layer >= (layers or 0))
        self.set_items([*range(layers or 0), *beyond], selected)
        self._settle_height()

    def columns(self) -> int:
        count = max(1, len(self.items))
        fitting = max(1, (self.content_size.width - VALUE_COLUMN) // (self._digits + 2 + self.GAP))
        if count <= fitting:
            return count
        return next((columns for columns in _PREFERRED_COLUMNS if columns <= fitting), fitting)

    def word(self, item: int) -> str:
        return str(item).rjust(self._digits)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted = self.colour("muted")
        rows = self.grid_lines() or [line(("choose a model to see its layers", muted))]
        count = len(self.selected)
        keys = self.colour("muted")
        labels: list[Piece] = [
            ("layers", self.label_style()),
            (f"({count} selected)", self.colour("primary" if count else "error")),
            ("a all  x clear  r range" if len(rows) > 2 else "", keys),
        ]
        if len(rows) == 1:
            rows.append(line(("a all   x clear   r range   space select", keys)))
        lines = []
        for index in range(max(2, len(rows))):
            text, style = labels[index] if index < len(labels) else ("", muted)
            head = line(self.cursor_mark(self.has_focus), (fit(text, VALUE_COLUMN - 2), style))
            lines.append(Strip([*head, *(rows[index] if index < len(rows) else ())]))
        return lines + self._below(width)

    def toggle_pieces(self, index: int) -> list[Piece]:
        pieces = super().toggle_pieces(index)
        if self._layers is None or self.items[index] < self._layers:
            return pieces
        error = self.colour("error", bold=True, on="cursor" if self.has_focus and index == self.cursor else "")
        return [("✗ ", error), (pieces[1][0], error)]

    def on_resize(self, event: events.Resize) -> None:
        self._settle_height()

    def _select(self, selected: frozenset[int]) -> None:
        super()._select(selected)
        self._settle_height()

    @property
    def _digits(self) -> int:
        return len(str(max(self.items, default=0)))

    def _below(self, width: int) -> list[Strip]:
        if self._problem is not None:
            return [problem_line(self, self._problem, width)]
        if len(self.selected) > MANY_LAYERS:
            hint = f"▲ {len(self.selected)} layers: memory and time grow with each."
            return [under_value(hint, self.colour("warning"), width)]
        return []

    def _settle_height(self) -> None:
        rows = -(-len(self.items) // self.columns())
        self._set_height(max(2, rows) + (self._problem is not None or len(self.selected) > MANY_LAYERS))


class HookPointGrid(ToggleGrid[str]):
    """Where in each layer activations are read."""

    GAP = 1  # all five fit beside the help of a terminal of 120 columns

    def __init__(self) -> None:
        super().__init__(id="hook-points")
        self._problem: Problem | None = None

    def show(self, selected: Sequence[str], problem: Problem | None = None) -> None:
        """Bring the grid up to date."""
        self._problem = problem
        self._set_height(1 if problem is None else 2)
        self.set_items(HOOK_POINTS, selected)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        head = line(self.cursor_mark(self.has_focus), (fit("hook points", VALUE_COLUMN - 2), self.label_style()))
        first = Strip([*head, *self.grid_lines()[0]])
        return [first] if self._problem is None else [first, problem_line(self, self._problem, width)]
