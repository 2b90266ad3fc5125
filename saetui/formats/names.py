"""Names of jobs and templates: which are allowed, and how a free one is found."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
NAME_RULE = "1 to 64 letters, digits, dots, underscores, blanks and hyphens, beginning with a letter or digit"
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
ID_PATTERN = f"[{_ID_LETTERS}]{{8}}"
"""What ids look like, as a regular expression."""


def is_name(text: str) -> bool:
    """Whether a text may name a job or a template (it becomes part of file names and reaches terminals)."""
    return NAME_PATTERN.fullmatch(text) is not None


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The name itself, or with `_2`, `_3`, … where it is taken; at most 64 characters."""
    if wanted not in taken:
        return wanted
    number = 2
    while True:
        ending = f"_{number}"
        candidate = wanted[: 64 - len(ending)] + ending
        if candidate not in taken:
            return candidate
        number += 1


def new_id(taken: Collection[str] = ()) -> str:
    """A new id of 8 characters, without letters that are easily confused."""
    while True:
        candidate = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
        if candidate not in taken:
            return candidate


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return re.fullmatch(ID_PATTERN, text) is not None


def plain_name(text: str) -> str:
    """The nearest allowed name to any text."""
    cleaned = re.sub(r"[^A-Za-z0-9._ -]+", "-", text).strip(" .-_")
    return cleaned[:64] or "unnamed"
