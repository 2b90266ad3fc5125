"""Text made fit for a terminal: escape sequences shown and not sent, widths counted in cells."""

from __future__ import annotations

import unicodedata

_ELLIPSIS = "…"


def plain(text: str) -> str:
    """The text with everything that a terminal would act on written out (`\\x1b`), line ends included.

    Direction marks and zero-width characters are written out too: they make one text look like another.
    """
    if text.isprintable():
        return text
    return "".join(character if _harmless(character) else _written_out(character) for character in text)


def plain_line(line: str) -> str:
    """One line of a log: as `plain`, with its tabs turned to blanks and its line end taken off."""
    return plain(line.rstrip("\r\n").expandtabs(8))


def cells(text: str) -> int:
    """How many cells of a terminal a plain text takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def fit(text: str, width: int) -> str:
    """The text cut to a number of cells, with an ellipsis where something is missing."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        used += _cells_of(character)
        if used > width - 1:
            break
        kept += character
    return kept + _ELLIPSIS


def _harmless(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _cells_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
