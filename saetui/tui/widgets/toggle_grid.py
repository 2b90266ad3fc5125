"""A grid of toggles with a cursor."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

Item = TypeVar("Item", bound=Hashable)


class ToggleGrid(LineCanvas, Generic[Item], can_focus=True):
    """Toggles in rows. Moving past its first or last row goes to the field before or after.

    Attributes:
        items: all that can be selected, in order.
        selected: the selected ones.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.GRID)]
    GAP: ClassVar[int] = 2
    DEFAULT_CSS = "ToggleGrid { height: 1; width: 1fr; background: $background; }"

    class Changed(Message):
        """The user changed the selection, to these items in order.

        They are sent along: what the grid shows may be older again by the time that this is read.
        """

        def __init__(self, grid: Widget, chosen: tuple[Any, ...]) -> None:
            super().__init__()
            self.grid = grid
            self.chosen = chosen

        @property
        def control(self) -> Widget:
            return self.grid

    class RangeWanted(Message):
        """The user wants to type which ones."""

        def __init__(self, grid: Widget) -> None:
            super().__init__()
            self.grid = grid

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.items: tuple[Item, ...] = ()
        self.selected: frozenset[Item] = frozenset()
        self.cursor = 0
        self._lines_taken = 0

    @property
    def chosen(self) -> tuple[Item, ...]:
        """The selected items, in order."""
        return tuple(item for item in self.items if item in self.selected)

    def set_items(self, items: Sequence[Item], selected: Sequence[Item]) -> None:
        """Show these items, with these selected."""
        self.items, self.selected = tuple(items), frozenset(selected)
        self.cursor = min(self.cursor, max(0, len(self.items) - 1))
        self.repaint()

    def columns(self) -> int:
        """How many items there are in one row."""
        return max(1, len(self.items))

    def word(self, item: Item) -> str:
        """The text of an item."""
        return str(item)

    def toggle_pieces(self, index: int) -> list[Piece]:
        """One item; its mark tells whether it is selected, with or without colour."""
        item = self.items[index]
        here = self.has_focus and index == self.cursor
        if item in self.selected:
            style = self.colour("primary", bold=True, on="cursor" if here else "")
            return [("■ ", style), (self.word(item), style)]
        style = self.colour("strong" if here else "muted", bold=here, on="cursor" if here else "")
        return [("□ ", style), (self.word(item), style)]

    def grid_lines(self) -> list[Strip]:
        """The rows of toggles."""
        columns, blank = self.columns(), self.colour("muted")
        lines = []
        for start in range(0, len(self.items), columns):
            pieces: list[Piece] = []
            for index in range(start, min(start + columns, len(self.items))):
                pieces += [*self.toggle_pieces(index), (" " * self.GAP, blank)]
            lines.append(line(*pieces))
        return lines

    def action_select_item(self) -> None:
        if self.items:
            self._select(self.selected ^ {self.items[self.cursor]})

    def action_all(self) -> None:
        self._select(frozenset(self.items))

    def action_clear(self) -> None:
        self._select(frozenset())

    def action_invert(self) -> None:
        self._select(frozenset(self.items) - self.selected)

    def action_every_other(self) -> None:
        self._select(frozenset(self.items[self.cursor :: 2]))

    def action_range(self) -> None:
        self.post_message(self.RangeWanted(self))

    def choose(self, items: Iterable[Item]) -> None:
        """Select these alone, as if by key."""
        self._select(frozenset(items))

    def action_left(self) -> None:
        self._move(self.cursor - 1)

    def action_right(self) -> None:
        self._move(self.cursor + 1)

    def action_up(self) -> None:
        if self.cursor - self.columns() < 0:
            self.screen.focus_previous()
        else:
            self._move(self.cursor - self.columns())

    def action_down(self) -> None:
        last_row = (len(self.items) - 1) // self.columns()
        if self.cursor // self.columns() >= last_row:
            self.screen.focus_next()
        else:
            self._move(self.cursor + self.columns())

    def _set_height(self, height: int) -> None:
        """Take so many lines. A new height costs a new layout of the screen, so set it only where it changes."""
        if height != self._lines_taken:
            self._lines_taken = height
            self.styles.height = height

    def _move(self, index: int) -> None:
        self.cursor = min(max(index, 0), max(0, len(self.items) - 1))
        self.repaint()

    def _select(self, selected: frozenset[Item]) -> None:
        if selected != self.selected:
            self.selected = selected
            self.repaint()
            self.post_message(self.Changed(self, self.chosen))
