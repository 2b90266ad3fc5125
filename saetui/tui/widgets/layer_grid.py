"""The layers of the chosen model, each to be selected; and the hook points in each."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.strip import Strip

from saetui.display.text import fit
from saetui.spec.architectures import HOOK_POINTS
from saetui.spec.problems import Problem, Severity
from saetui.tui.widgets.field_row import VALUE_COLUMN, said_briefly, under_value
from saetui.tui.widgets.line_canvas import Piece, line
from saetui.tui.widgets.toggle_grid import ToggleGrid

MANY_LAYERS = 4
"""Above so many, a hint says what more layers cost."""

_PREFERRED_COLUMNS = (16, 12, 10, 8, 6, 4)


class LayerGrid(ToggleGrid[int]):
    """One toggle a layer. Selected layers that the model does not have are shown too, as wrong, so that they can go."""

    def __init__(self) -> None:
        super().__init__(id="layers")
        self._layers: int | None = None
        self._problem: Problem | None = None

    def show(self, layers: int | None, selected: Sequence[int], problem: Problem | None = None) -> None:
        """Bring it up to date.

        Args:
            layers: how many the model has; None: not known.
            selected: the chosen ones.
            problem: what is wrong with them.
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
        focused, muted = self.has_focus, self.colour("muted")
        rows = self.grid_lines("") or [line(("choose a model to see its layers", muted))]
        mark = ("▌ ", self.colour("primary")) if focused else ("  ", muted)
        label = self.colour("strong", bold=True) if focused else self.colour("foreground")
        count = len(self.selected)
        heads: list[list[Piece]] = [[mark, (fit("layers", VALUE_COLUMN - 2), label)]]
        heads.append(
            [mark, (fit(f"({count} selected)", VALUE_COLUMN - 2), self.colour("primary" if count else "error"))]
        )
        keys = self.colour("muted" if focused else "faint")
        if len(rows) > 2:
            heads.append([mark, (fit("a all   x clear", VALUE_COLUMN - 2), keys)])
        blank = [mark, (" " * (VALUE_COLUMN - 2), muted)]
        lines = []
        for index in range(max(2, len(rows))):
            head = heads[index] if index < len(heads) else blank
            tail = list(rows[index]) if index < len(rows) else []
            lines.append(Strip([*line(*head), *tail]))
        if len(rows) == 1:
            lines[1] = Strip(
                [
                    *line(*heads[1]),
                    *line(("a all   x clear   space select", keys)),
                ]
            )
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
        text = self._hint()
        if not text:
            return []
        return [under_value(text[0], self.colour(text[1]), width)]

    def _hint(self) -> tuple[str, str] | None:
        if self._problem is not None:
            error = self._problem.severity is Severity.ERROR
            return f"{'✗' if error else '▲'} {said_briefly(self._problem)}", "error" if error else "warning"
        if len(self.selected) > MANY_LAYERS:
            return f"▲ {len(self.selected)} layers: memory and time grow with each.", "warning"
        return None

    def _settle_height(self) -> None:
        rows = -(-len(self.items) // self.columns())
        self._set_height(max(2, rows) + (1 if self._hint() else 0))


class HookPointGrid(ToggleGrid[str]):
    """Where in each layer activations are read."""

    GAP = 1  # all five fit beside the help of a terminal of 120 columns

    def __init__(self) -> None:
        super().__init__(id="hook-points")
        self._problem: Problem | None = None

    def show(self, selected: Sequence[str], problem: Problem | None = None) -> None:
        """Bring it up to date."""
        self._problem = problem
        self._set_height(1 if problem is None else 2)
        self.set_items(HOOK_POINTS, selected)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        mark = ("▌ ", self.colour("primary")) if self.has_focus else ("  ", self.colour("muted"))
        label = self.colour("strong", bold=True) if self.has_focus else self.colour("foreground")
        first = Strip([*line(mark, (fit("hook points", VALUE_COLUMN - 2), label)), *self.grid_lines("")[0]])
        if self._problem is None:
            return [first]
        return [first, under_value(f"✗ {said_briefly(self._problem)}", self.colour("error"), width)]
