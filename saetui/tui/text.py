"""Text that may come from anywhere, made fit for a terminal: nothing raw, nothing that breaks a layout."""

from __future__ import annotations

import unicodedata

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_REPLACEMENT = "·"
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def plain(text: str) -> str:
    """The text on one line, without control characters, escape sequences or marks that turn its direction.

    Combining marks beyond the second on one letter are dropped too: they climb out of their line.
    """
    if text.isascii() and text.isprintable():
        return text
    kept: list[str] = []
    marks = 0
    for letter in text:
        category = unicodedata.category(letter)
        if category in ("Mn", "Me"):
            marks += 1
            if marks > 2 or not kept:
                continue
        else:
            marks = 0
        if letter in "\t\n\r":
            kept.append(" ")
        elif category in _UNSAFE or category == "Cn":
            kept.append(_REPLACEMENT)
        else:
            kept.append(letter)
    return "".join(kept)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells: cut with an ellipsis, or filled with blanks (on the left with `right`)."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length <= width:
        blanks = " " * (width - length)
        return blanks + text if right else text + blanks
    return set_cell_size(text, width - 1) + ELLIPSIS


def shorten(text: str, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` cells."""
    return text if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)).rstrip() + ELLIPSIS
