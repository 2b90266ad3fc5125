"""Text that may be long and grow: scrolled by line, wrapped or cut, searched, followed at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.cells import cell_len, chop_cells
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widgets import Input

from saetui.display.text import one_line
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.inputs import AskingLine
from saetui.tui.widgets.line_canvas import Piece, filled, line
from saetui.tui.widgets.line_list import LineList

MOST_LINES = 40_000
"""Of a log that is followed for weeks the oldest lines are dropped; its file has them all."""

Span = tuple[str, str]
"""Text with the name of its colour (a theme variable; with a leading `*`: bold)."""


class TextPane(LineList):
    """Lines of coloured text."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.LOG)]

    class SearchWanted(Message):
        """The user wants to search: ask for the text."""

    def __init__(
        self,
        *,
        nothing: str = "",
        follows: bool = False,
        wraps: bool = True,
        indent: int = 0,
        head: Sequence[Span] = (),
    ) -> None:
        """
        Args:
            nothing: shown where there are no lines.
            follows: the cursor stays at the end as lines come.
            wraps: long lines are wrapped, not cut.
            indent: of the later rows of a wrapped line.
            head: a line that stays on top.
        """
        super().__init__()
        self.nothing = nothing
        self.following = follows
        self.wrapping = wraps
        self.indent = indent
        self.query_text = ""
        self.head = head
        self._texts: list[list[Span]] = []
        self._rows: list[tuple[int, list[Span]]] = []
        self._wrapped_for = 0

    def set_lines(self, lines: Sequence[list[Span]]) -> None:
        self._texts = [_plain(spans) for spans in lines]
        self._wrapped_for = 0
        self._to_end()
        self.repaint()

    def add_lines(self, lines: Sequence[list[Span]]) -> None:
        for spans in lines:
            self._texts.append(_plain(spans))
            if self._wrapped_for:
                self._rows += self._wrapped(len(self._texts) - 1, self._wrapped_for)
        if len(self._texts) > MOST_LINES:
            self._drop_first(len(self._texts) - MOST_LINES // 2)
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

    def row_count(self) -> int:
        width = self.content_size.width
        if width and self._wrapped_for != width:
            self._wrapped_for = width
            self._rows = [row for index in range(len(self._texts)) for row in self._wrapped(index, width)]
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
        return [line(*((text, self.colour(colour)) for text, colour in self.head))]

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        return [line((self.nothing, self.colour("muted")))]

    def search(self, query: str) -> bool:
        """Mark a text and go to the next line that contains it. Returns False where there is none."""
        self.query_text = query.lower()
        self.repaint()
        return not query or self._go(1, from_here=True)

    def move_to(self, index: int) -> None:
        self.following = index >= self.row_count() - 1 and self.following
        super().move_to(index)

    def action_search(self) -> None:
        self.post_message(self.SearchWanted())

    def action_next_match(self) -> None:
        self._go_or_notify(1)

    def action_previous_match(self) -> None:
        self._go_or_notify(-1)

    def action_follow(self) -> None:
        self.following = not self.following
        self._to_end()
        self.repaint()
        self.notify("New lines are followed." if self.following else "New lines are no longer followed.")

    def action_wrap(self) -> None:
        self.wrapping = not self.wrapping
        self._wrapped_for = 0
        self.repaint()

    def _drop_first(self, count: int) -> None:
        """Drop so many of the first lines; the cursor stays on its line while that exists."""
        gone = sum(1 for index, _ in self._rows if index < count)
        self._texts = self._texts[count:]
        self._rows = [(index - count, spans) for index, spans in self._rows[gone:]]
        self.cursor, self.top = max(0, self.cursor - gone), max(0, self.top - gone)

    def _to_end(self) -> None:
        if self.following and self._rows:
            self.cursor = len(self._rows) - 1

    def _go_or_notify(self, direction: int) -> None:
        if self.query_text and not self._go(direction):
            self.notify("No line contains this text.")

    def _go(self, direction: int, *, from_here: bool = False) -> bool:
        """Go to the next row with the searched text; after the last row comes the first."""
        count = self.row_count()
        start = self.cursor if from_here else self.cursor + direction
        for distance in range(count):
            index = (start + direction * distance) % count
            if self.query_text in "".join(text for text, _ in self._rows[index][1]).lower():
                self.move_to(index)
                return True
        return False

    def _found(self, text: str, style: Style) -> list[Piece]:
        """The text, each match in reverse colours."""
        if not self.query_text:
            return [(text, style)]
        pieces: list[Piece] = []
        start, lower = 0, text.lower()
        while (at := lower.find(self.query_text, start)) >= 0 and len(lower) == len(text):
            found = at + len(self.query_text)
            pieces += [(text[start:at], style), (text[at:found], style + Style(reverse=True))]
            start = found
        return [*pieces, (text[start:], style)]

    def _wrapped(self, index: int, width: int) -> list[tuple[int, list[Span]]]:
        """A line as rows of at most `width` cells; without wrapping one row, which the canvas cuts."""
        spans = self._texts[index]
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


class TextView(Vertical):
    """A pane of text with a line to search in it.

    Attributes:
        pane: the text.
    """

    DEFAULT_CSS = "TextView TextPane { height: 1fr; }"

    def __init__(self, *, id: str | None = None, **options: Any) -> None:
        """`options`: of `TextPane`."""
        super().__init__(id=id)
        self.pane = TextPane(**options)
        self._asking = AskingLine("find", "text, then ⏎; n and N go to the next and previous match")

    def compose(self) -> ComposeResult:
        yield self.pane
        yield self._asking

    def focus_text(self) -> None:
        """Put the focus on the text, and hide the search line."""
        self._asking.display = False
        self.pane.focus()

    def leave_mode(self) -> bool:
        """Hide the search line, else unmark the matches. Returns False where there was neither."""
        if self._asking.display:
            self.focus_text()
            return True
        found = bool(self.pane.query_text)
        self.pane.search("")
        return found

    def on_text_pane_search_wanted(self, event: TextPane.SearchWanted) -> None:
        event.stop()
        self._asking.close()
        self._asking.open()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.pane.search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value and not self.pane.search(event.value):
            self.notify(f"No line contains “{event.value}”.", markup=False)
        self.focus_text()


def _plain(spans: Sequence[Span]) -> list[Span]:
    return [(one_line(text), colour) for text, colour in spans]


def _head(text: str, room: int) -> str:
    """As much of a text as fits, ending after a word where possible."""
    if room <= 0:
        return ""
    fitting = chop_cells(text, room)[0] if cell_len(text[0]) <= room else ""
    blank = fitting.rfind(" ")
    return fitting[: blank + 1] if blank > room // 2 else fitting
