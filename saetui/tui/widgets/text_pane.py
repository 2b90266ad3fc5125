"""Text that can be long and grow: scrolled by line, wrapped or cut, searched, followed to its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from saetui.display.text import one_line
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import Piece, filled, line
from saetui.tui.widgets.line_list import LineList

MOST_LINES = 40_000
"""Of a log that is followed for weeks the oldest lines go; all of them are in its file."""

Span = tuple[str, str]
"""Text with the name of its colour (a theme variable; with a leading `*`: bold)."""


class TextPane(LineList):
    """Lines of coloured text. `indent`: how far the second and later rows of a wrapped line are moved in."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.LOG)]

    class SearchWanted(Message):
        """The user wants to find something: ask for what."""

    def __init__(self, *, id: str, nothing: str, follows: bool = False, wraps: bool = True, indent: int = 0) -> None:
        super().__init__(id=id)
        self.nothing = nothing
        self.following = follows
        self.wrapping = wraps
        self.indent = indent
        self.sought = ""
        self.head: list[Span] = []
        self._texts: list[list[Span]] = []
        self._rows: list[tuple[int, list[Span]]] = []
        self._broken_for = 0

    def set_lines(self, lines: Sequence[list[Span]]) -> None:
        """Show these lines instead."""
        self._texts = [[(one_line(text), colour) for text, colour in spans] for spans in lines]
        self._broken_for = 0
        self._to_end()
        self.repaint()

    def add_lines(self, lines: Sequence[list[Span]]) -> None:
        """More lines, at the end."""
        for spans in lines:
            cleaned = [(one_line(text), colour) for text, colour in spans]
            self._texts.append(cleaned)
            if self._broken_for:
                self._rows += self._broken(len(self._texts) - 1, cleaned, self._broken_for)
        if len(self._texts) > MOST_LINES:
            self._forget(len(self._texts) - MOST_LINES // 2)
        self._to_end()
        self.repaint()

    @property
    def line_count(self) -> int:
        return len(self._texts)

    @property
    def current_text(self) -> str:
        """The line under the cursor."""
        if not 0 <= self.cursor < len(self._rows):
            return ""
        return "".join(text for text, _ in self._texts[self._rows[self.cursor][0]])

    def whole_text(self) -> str:
        """Everything, one line each."""
        return "\n".join("".join(text for text, _ in spans) for spans in self._texts)

    def row_count(self) -> int:
        width = self.content_size.width
        if width and self._broken_for != width:
            self._broken_for = width
            self._rows = [row for index, spans in enumerate(self._texts) for row in self._broken(index, spans, width)]
            self._to_end()
        return len(self._rows)

    def row(self, index: int, width: int, selected: bool) -> Strip:
        on = "cursor" if selected and self.has_focus else ""
        pieces: list[Piece] = []
        for text, colour in self._rows[index][1]:
            style = self.colour(colour.lstrip("*"), bold=colour.startswith("*"), on=on)
            pieces += self._found(text, style)
        return filled(line(*pieces), width, self.colour("foreground", on=on))

    def heading(self, width: int) -> Sequence[Strip]:
        if not self.head or not self._texts:
            return ()
        return [line(*((text, self.colour(colour.lstrip("*"))) for text, colour in self.head))]

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        return [line((self.nothing, self.colour("muted")))]

    def search(self, query: str) -> bool:
        """Mark these letters and go to the next line that has them; whether there is one."""
        self.sought = query.lower()
        self.repaint()
        return not query or self._go(1, from_here=True)

    def move_to(self, index: int) -> None:
        self.following = index >= self.row_count() - 1 and self.following
        super().move_to(index)

    def action_search(self) -> None:
        self.post_message(self.SearchWanted())

    def action_next_match(self) -> None:
        if self.sought and not self._go(1):
            self.notify("No line has these letters.")

    def action_previous_match(self) -> None:
        if self.sought and not self._go(-1):
            self.notify("No line has these letters.")

    def action_follow(self) -> None:
        self.following = not self.following
        self._to_end()
        self.repaint()
        self.notify("Following the end." if self.following else "Staying here.")

    def action_wrap(self) -> None:
        self.wrapping = not self.wrapping
        self._broken_for = 0
        self.repaint()

    def _forget(self, count: int) -> None:
        """Let go of so many lines at the beginning; the cursor stays on its line while that is there."""
        gone = sum(1 for index, _ in self._rows if index < count)
        self._texts = self._texts[count:]
        self._rows = [(index - count, spans) for index, spans in self._rows[gone:]]
        self.cursor, self.top = max(0, self.cursor - gone), max(0, self.top - gone)

    def _to_end(self) -> None:
        if self.following and self._rows:
            self.cursor = len(self._rows) - 1

    def _go(self, direction: int, *, from_here: bool = False) -> bool:
        """The next row with the searched letters; from the end it goes on at the start."""
        count = self.row_count()
        start = self.cursor if from_here else self.cursor + direction
        for distance in range(count):
            index = (start + direction * distance) % count
            if self.sought in "".join(text for text, _ in self._rows[index][1]).lower():
                self.move_to(index)
                return True
        return False

    def _found(self, text: str, style: Style) -> list[Piece]:
        """The text with the searched letters reversed."""
        if not self.sought:
            return [(text, style)]
        pieces: list[Piece] = []
        start, lower = 0, text.lower()
        while (at := lower.find(self.sought, start)) >= 0 and len(lower) == len(text):
            found = at + len(self.sought)
            pieces += [(text[start:at], style), (text[at:found], style + Style(reverse=True))]
            start = found
        return [*pieces, (text[start:], style)]

    def _broken(self, index: int, spans: list[Span], width: int) -> list[tuple[int, list[Span]]]:
        """A line as rows of at most `width` cells; when not wrapping one row, cut by the canvas."""
        if not self.wrapping or sum(cell_len(text) for text, _ in spans) <= width:
            return [(index, spans)]
        rows: list[list[Span]] = [[]]
        room = width
        for text, colour in spans:
            while cell_len(text) > room:
                head = _head(text, room)
                rows[-1].append((head.rstrip(), colour))
                text = text[len(head) :].lstrip()
                rows.append([(" " * self.indent, colour)])
                room = max(8, width - self.indent)
            rows[-1].append((text, colour))
            room -= cell_len(text)
        return [(index, row) for row in rows]


def _head(text: str, room: int) -> str:
    """As much of a text as fits, ending after a word where there is one."""
    if room <= 0:
        return ""
    fitting = chop_cells(text, room)[0] if cell_len(text[0]) <= room else ""
    blank = fitting.rfind(" ")
    return fitting[: blank + 1] if blank > room // 2 else fitting
