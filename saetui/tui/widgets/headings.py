"""Headings: of a screen, of a section, and the row of tabs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.text import shorten
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line


class ScreenTitle(LineCanvas):
    """A title, and a note on the present content."""

    DEFAULT_CSS = "ScreenTitle { height: 1; width: 1fr; padding: 0 0; }"

    def __init__(self, title: str) -> None:
        super().__init__()
        self._heading = title
        self._note = ""

    def show_note(self, note: str) -> None:
        self._note = note
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted = self.colour("muted")
        note = shorten(self._note, width - len(self._heading) - 6)
        return [line(("  ", muted), (self._heading, self.colour("strong", bold=True)), (f"   {note}", muted))]


class SectionHeading(LineCanvas):
    """The section's name on a thin line."""

    DEFAULT_CSS = "SectionHeading { height: 2; padding-top: 1; width: 1fr; }"

    def __init__(self, title: str, indent: int = 2) -> None:
        super().__init__()
        self._heading = title
        self._indent = indent

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        dashes = "─" * max(0, width - len(self._heading) - self._indent - 2)
        return [line((" " * self._indent, rule), (self._heading, self.colour("primary")), (f" {dashes}", rule))]


class TabLine(LineCanvas):
    """The names of the tabs, each with the digit that opens it; the open tab is bright and marked."""

    DEFAULT_CSS = "TabLine { height: 1; }"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names
        self.active = 0

    def open(self, index: int) -> None:
        self.active = index
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        pieces: list[Piece] = [("─", rule)]
        for index, name in enumerate(self._names):
            if index == self.active:
                pieces.append((f"[{index + 1} {name}]", self.colour("primary", bold=True)))
            else:
                pieces += [(f" {index + 1} ", self.colour("faint")), (f"{name} ", self.colour("muted"))]
            pieces.append(("─", rule))
        return [line(*pieces, ("─" * (width - length(pieces)), rule))]
