"""Damaged files of a home: what was lost with each, shown to the user until the user acknowledges or removes it.

The supervisor writes the list when it starts; any client reads and acknowledges it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular
from saetui.formats.sealed import decode_sealed, seal

NAME = "losses.json"
LIMIT = 1 << 20
MOST = 50
"""The newest ones that are kept."""


class DamagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file that could not be used.

    Attributes:
        time: when the damage was found; ISO 8601, UTC.
        file: its path.
        reason: what is wrong with it.
        moved_to: its new path; None where the file was missing.
        lost: what was lost with it, in words.
    """

    time: str
    file: str
    reason: str
    moved_to: str | None
    lost: str

    def sentence(self) -> str:
        """All of it, for people."""
        where = f" The damaged file is {self.moved_to}." if self.moved_to is not None else ""
        return f"{self.file} could not be used ({self.time[:10]}: {self.reason}). Lost: {self.lost}.{where}"


class _Damage(msgspec.Struct):
    losses: list[DamagedFile]


def read_damage(root: Path) -> list[DamagedFile]:
    """The damaged files of a home that the user has neither acknowledged nor removed."""
    try:
        known = decode_sealed(read_regular(root / NAME, LIMIT), _Damage).losses
    except (OSError, msgspec.DecodeError):
        return []
    return [damaged for damaged in known if damaged.moved_to is None or os.path.lexists(damaged.moved_to)]


def record_damage(root: Path, found: Sequence[DamagedFile]) -> None:
    """Add damaged files to the list.

    Raises:
        OSError: it cannot be written.
    """
    if found:
        kept = [*read_damage(root), *found][-MOST:]
        write_durably(root / NAME, seal(msgspec.json.encode(_Damage(kept))))


def acknowledge_damage(root: Path) -> None:
    """Empty the list: the user has read it.

    Raises:
        OSError: it cannot be written.
    """
    (root / NAME).unlink(missing_ok=True)
