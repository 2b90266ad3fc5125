"""Text from any source, made safe for a terminal: control characters escaped, widths counted in cells."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_MOST_MARKS = 2
_LINE_BREAKS = str.maketrans("\t\n\r", "   ")


def plain(text: str) -> str:
    """The text with everything escaped (`\\x1b`) that a terminal would act on, line ends included.

    Direction marks and zero-width characters are escaped too, because they make one text look like another. Combining
    marks beyond the second on a letter are dropped, because they reach into other lines.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks and (marks > _MOST_MARKS or not kept):
            continue
        harmless = letter.isprintable() or category == "Zs"
        kept.append(letter if harmless else letter.encode("unicode_escape").decode("ascii"))
    return "".join(kept)


def one_line(text: str) -> str:
    """As `plain`, with a blank for each tab and line end."""
    return plain(text.translate(_LINE_BREAKS))


def log_line(line: str) -> str:
    """One line of a log: as `plain`, with tabs expanded and without its line end."""
    return plain(line.rstrip("\r\n").expandtabs(8))


def cells(text: str) -> int:
    """The width of a plain text in cells of a terminal: wide characters count two, combining ones none."""
    return cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells: cut with an ellipsis, or padded with blanks (on the left with `right`)."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length <= width:
        blanks = " " * (width - length)
        return blanks + text if right else text + blanks
    return set_cell_size(text, width - 1) + ELLIPSIS


def shorten(text: str, width: int) -> str:
    """The text, cut with an ellipsis if it is wider than `width` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + ELLIPSIS
