"""A widget that keeps its lines and repaints only the cells that changed: few bytes over a slow connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from textwrap import wrap

from rich.cells import cell_len, get_character_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from saetui.display.text import one_line

Piece = tuple[str, Style]
"""Text with its style; `line` makes a strip of several."""


class LineCanvas(Widget):
    """Shows lines. Subclasses build them in `draw` and call `repaint` when their data may have changed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Strip] = []
        self._drawn_for: tuple[Size, Style] | None = None

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        """The lines for a content area of this size. Missing ones are blank."""
        raise NotImplementedError

    def repaint(self) -> None:
        """Draw again, and refresh the cells that have changed."""
        size = self.content_size
        if not self.is_attached or size.width <= 0 or size.height <= 0:
            self._drawn_for = None
            if self.is_attached:
                # Hidden: Textual keeps the last lines, and would show them when the widget comes back at the same size.
                self.refresh()
            return
        if self._drawn_for != (size, self.rich_style):
            self.refresh()
            return
        old, self._lines = self._lines, self._fitted(size)
        changed = [
            Region(start, y, end - start, 1)
            for y, (before, now) in enumerate(zip(old, self._lines))
            for start, end in changed_spans(before, now)
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if self._drawn_for != (size, self.rich_style):
            self._lines = self._fitted(size)
            self._drawn_for = (size, self.rich_style)
        return self._lines[y] if 0 <= y < len(self._lines) else Strip.blank(size.width, self.rich_style)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.repaint()

    def colour(self, variable: str, *, bold: bool = False, on: str = "") -> Style:
        """A style in the theme's colours, e.g. `colour("state-running")`, `colour("strong", on="cursor")`."""
        known = self.app.theme_variables
        if on and variable == "muted":
            variable = (
                "foreground"  # grey on a highlighted row cannot be read, least of all where a terminal has one grey
            )
        return _style(known.get(variable, ""), bold, known.get(on, "") if on else "")

    def cursor_mark(self, here: bool, on: str = "") -> Piece:
        """The mark at the left edge of the row with the cursor or the focus; blanks on all others."""
        return ("▌ " if here else "  ", self.colour("primary" if here else "muted", on=on))

    def label_style(self) -> Style:
        """The style of a field's label: bright while the widget has the focus."""
        return self.colour("strong", bold=True) if self.has_focus_within else self.colour("foreground")

    def paragraph(self, text: str, width: int, colour: str, *, margin: str = "", indent: str = "") -> list[Strip]:
        """A text, wrapped to `width` cells. `margin`: before each line; `indent`: before all lines but the first."""
        style = self.colour(colour)
        parts = wrap(one_line(text), max(8, width - len(margin)), subsequent_indent=indent)
        return [line((margin + part, style)) for part in parts]

    def _fitted(self, size: Size) -> list[Strip]:
        """Exactly `size.height` lines of `size.width` cells, on the widget's own background."""
        base = self.rich_style
        lines = [
            line.adjust_cell_length(size.width).apply_style(base)
            for line in list(self.draw(size.width, size.height))[: size.height]
        ]
        return lines + [Strip.blank(size.width, base)] * (size.height - len(lines))


def line(*pieces: Piece) -> Strip:
    """A strip from pieces of text; control characters in them are made harmless."""
    return Strip([Segment(one_line(text), style) for text, style in pieces if text])


def length(pieces: Iterable[Piece]) -> int:
    """How many cells pieces of text take."""
    return sum(cell_len(text) for text, _ in pieces)


def filled(strip: Strip, width: int, style: Style) -> Strip:
    """The strip in exactly `width` cells, its background under all of them."""
    return Strip(strip.adjust_cell_length(width)).apply_style(Style(bgcolor=style.bgcolor))


def changed_spans(before: Strip, now: Strip, gap: int = 8) -> list[tuple[int, int]]:
    """Where two lines differ, as (first cell, cell behind the last).

    Spans closer than `gap` cells are joined: moving the cursor there costs as much as the cells between.
    """
    if before is now or before == now:
        return []
    old, new = _cells(before), _cells(now)
    if len(old) != len(new):
        return [(0, max(len(old), len(new)))]
    spans: list[tuple[int, int]] = []
    for index, (a, b) in enumerate(zip(old, new)):
        if a == b:
            continue
        if spans and index - spans[-1][1] < gap:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return [_whole_letters(start, end, old, new) for start, end in spans]


_Cell = tuple[str, "Style | None"]


def _cells(strip: Strip) -> list[_Cell]:
    """One entry for each cell; the second cell of a wide letter is empty."""
    cells: list[_Cell] = []
    for text, style, _ in strip:
        if text.isascii():
            cells.extend((letter, style) for letter in text)
            continue
        for letter in text:
            width = get_character_cell_size(letter)
            if width == 0 and cells:
                cells[-1] = (cells[-1][0] + letter, cells[-1][1])
            else:
                cells.append((letter, style))
                cells.extend([("", style)] * (width - 1))
    return cells


def _whole_letters(start: int, end: int, old: list[_Cell], new: list[_Cell]) -> tuple[int, int]:
    """The span, widened so that it cuts no wide letter in two."""
    while start > 0 and (old[start][0] == "" or new[start][0] == ""):
        start -= 1
    while end < len(new) and (old[end][0] == "" or new[end][0] == ""):
        end += 1
    return start, end


@lru_cache(maxsize=512)
def _style(foreground: str, bold: bool, background: str) -> Style:
    return Style(
        color=Color.parse(foreground).rich_color if foreground else None,
        bgcolor=Color.parse(background).rich_color if background else None,
        bold=bold or None,
    )
