"""Names and ids of jobs, templates and sites, and the names of files in saetui's own directories."""

from __future__ import annotations

import itertools
import os
import re
import secrets
from collections.abc import Collection
from pathlib import Path

NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
NAME_RULE = "1 to 64 letters, digits, dots, underscores, blanks and hyphens, beginning with a letter or digit"
SAE_CONFIG = "cfg.json"
"""The configuration of an SAE in SAELens's layout; a directory with this file is an SAE."""
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
ID_PATTERN = f"[{_ID_LETTERS}]{{8}}"
"""A regular expression for ids."""


def is_name(text: str) -> bool:
    """Whether a text may name a job or a template: names become parts of file names and are shown in terminals."""
    return NAME_PATTERN.fullmatch(text) is not None


def free_name(wanted: str, taken: Collection[str]) -> str:
    """The wanted name; where it is taken, the name with `_2`, `_3`, … At most 64 characters."""
    endings = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
    candidates = (wanted[: 64 - len(ending)] + ending for ending in endings)
    return next(candidate for candidate in candidates if candidate not in taken)


def new_id(taken: Collection[str] = ()) -> str:
    """A new id: 8 characters, none of which is easily mistaken for another."""
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


def site_name(layer: int, hook_point: str) -> str:
    """The name of a site, e.g. `layer_2.resid_post`."""
    return f"layer_{layer}.{hook_point}"


class Inside:
    """An attribute with the path of one entry of a directory: `runs = Inside("runs")`. The owner is path-like."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: os.PathLike[str], kind: object = None) -> Path:
        return Path(os.fspath(owner), self.name)
