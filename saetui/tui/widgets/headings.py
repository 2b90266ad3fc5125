"""Headings: of a screen, of a section, and the row of tabs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.text import shorten
from saetui.tui.actions import BY_BINDING
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
        self._note = ""
        self.active = 0

    def open(self, index: int) -> None:
        self.active = index
        self.repaint()

    def show_note(self, note: str) -> None:
        """Which charts the first tab shows; "" where it shows all."""
        self._note = note
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        note = more_charts(self, self._note if self.active == 0 else "")
        # Where it is narrow, the note is worth more than the dashes between the tabs.
        tight = sum(len(name) + 5 for name in self._names) + length(note) + 1 > width
        dash = "" if tight and note else "─"
        pieces: list[Piece] = [(dash or " ", rule)]
        for index, name in enumerate(self._names):
            if index == self.active:
                pieces.append((f"[{index + 1} {name}]", self.colour("primary", bold=True)))
            else:
                pieces += [(f" {index + 1} ", self.colour("muted")), (f"{name} ", self.colour("muted"))]
            pieces.append((dash, rule))
        return [line(*pieces, ("─" * (width - length(pieces) - length(note)), rule), *note)]


def more_charts(widget: LineCanvas, shown: str) -> list[Piece]:
    """Which charts are shown and the key for others, at the end of a rule; nothing where these are all."""
    if not shown:
        return []
    key = BY_BINDING["job.more_charts"].shown_keys
    rule, bright = widget.colour("line"), widget.colour("primary", bold=True)
    return [(f" {key} ", bright), (f"{shown} ", widget.colour("foreground")), ("─", rule)]
