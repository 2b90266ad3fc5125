"""A list of lines with a cursor, drawn one line at a time on demand: a thousand rows cost as much as the visible ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import LineCanvas


class LineList(LineCanvas, can_focus=True):
    """Rows with a cursor, and optionally a heading above them. Subclasses say how many rows there are and draw one.

    The `enter` key posts `Chosen`; moving the cursor posts `Moved`.
    """

    has_cursor: ClassVar[bool] = True
    """Without a cursor the movement keys scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.LIST)]

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, source: LineList, index: int) -> None:
            super().__init__()
            self.source = source
            self.index = index

        @property
        def control(self) -> LineList:
            return self.source

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LineList.Moved) and message.source is self.source

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.cursor = 0
        self.top = 0

    def row_count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def row(self, index: int, width: int, selected: bool) -> Strip:
        """One row, `width` cells wide. `selected`: the cursor stands on it."""
        raise NotImplementedError

    def heading(self, width: int) -> Sequence[Strip]:
        """Lines that stay above the rows."""
        return ()

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        """What is shown where there are no rows."""
        return ()

    @property
    def page(self) -> int:
        """How many rows are visible."""
        return max(1, self.content_size.height - len(self.heading(self.content_size.width)))

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        heading = list(self.heading(width))
        count = self.row_count()
        room = max(0, height - len(heading))
        if count == 0:
            return heading + list(self.empty(width, room))
        self._settle(count, room)
        rows = [
            self.row(index, width, self.has_cursor and index == self.cursor)
            for index in range(self.top, min(count, self.top + room))
        ]
        return heading + rows

    def move_to(self, index: int) -> None:
        """Put the cursor on a row (the nearest there is)."""
        count = self.row_count()
        if count == 0:
            return
        if not self.has_cursor:
            self._show_from(index, count)
            return
        index = min(max(index, 0), count - 1)
        if index != self.cursor:
            self.cursor = index
            self.repaint()
            self.post_message(self.Moved(self, index))

    def action_cursor_down(self) -> None:
        self.move_to(self.cursor + 1)

    def action_cursor_up(self) -> None:
        self.move_to(self.cursor - 1)

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(self.row_count() - 1)

    def action_page_down(self) -> None:
        self.move_to(self.cursor + self.page - 1)

    def action_page_up(self) -> None:
        self.move_to(self.cursor - self.page + 1)

    def _show_from(self, top: int, count: int) -> None:
        top = max(0, min(top, count - self.page))
        if top != self.top:
            self.top = self.cursor = top
            self.repaint()

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    def _settle(self, count: int, room: int) -> None:
        """Keep the cursor on a row, and the row in view."""
        self.cursor = min(max(self.cursor, 0), count - 1)
        if not self.has_cursor:
            self.top = self.cursor = max(0, min(self.top, count - room))
        elif self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + room:
            self.top = self.cursor - room + 1
        self.top = max(0, min(self.top, count - room))
