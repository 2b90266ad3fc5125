"""Lists of lines with a cursor. Only the visible rows are drawn: a thousand rows cost no more than a screenful."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import LineCanvas


class LineList(LineCanvas, can_focus=True):
    """Rows with a cursor, and optionally a heading above them. Subclasses count the rows and draw one.

    Moving the cursor posts `Moved`.
    """

    has_cursor: ClassVar[bool] = True
    """Without a cursor the movement keys scroll."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.LIST)]

    class Moved(Message):
        """The cursor is on another row."""

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
        """One row, `width` cells wide. `selected`: the cursor is on it."""
        raise NotImplementedError

    def heading(self, width: int) -> Sequence[Strip]:
        """Lines that stay above the rows."""
        return ()

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        """Lines for a list without rows."""
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
        """Put the cursor on a row (the nearest there is); without a cursor, scroll there."""
        count = self.row_count()
        if count == 0:
            return
        index = max(0, min(index, count - (1 if self.has_cursor else self.page)))
        if not self.has_cursor:
            self.top = index
        if index != self.cursor:
            self.cursor = index
            self.repaint()
            if self.has_cursor:
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


class Reading(LineList):
    """A text to read, without a cursor: its lines are made anew for each width."""

    has_cursor: ClassVar[bool] = False
    DEFAULT_CSS = "Reading { height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[Strip] = ()
        self._width = 0

    def lines(self, width: int) -> Sequence[Strip]:
        """All lines of the text, in `width` cells."""
        raise NotImplementedError

    def row_count(self) -> int:
        width = self.content_size.width
        if width != self._width:
            self._width, self._rows = width, self.lines(width)
        return len(self._rows)

    def row(self, index: int, width: int, selected: bool) -> Strip:
        return self._rows[index]


class Identified(Protocol):
    """Anything with an id, such as a job or a template."""

    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=Identified)


class ItemList(LineList, Generic[Item]):
    """One row for each item; the cursor stays on its item as others come and go.

    Attributes:
        items: in the order of the rows.
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.items: tuple[Item, ...] = ()

    @property
    def highlighted(self) -> Item | None:
        """The item under the cursor."""
        return self.items[self.cursor] if 0 <= self.cursor < len(self.items) else None

    def set_items(self, items: Sequence[Item]) -> None:
        """Show these items."""
        before = self.highlighted
        self.items = tuple(items)
        self.cursor = max(0, min(self.cursor, len(items) - 1))
        if before is None or not self.highlight(before.id):
            self.repaint()

    def highlight(self, item_id: str) -> bool:
        """Put the cursor on an item. Returns False where the list does not have it."""
        found = next((index for index, item in enumerate(self.items) if item.id == item_id), None)
        if found is None:
            return False
        self.cursor = found
        self.repaint()
        return True

    def row_count(self) -> int:
        return len(self.items)
