"""What a damaged file of the home has cost, and where it lies: said to the user until that is acknowledged or mended.

Written by the supervisor when it starts; read, and acknowledged, by any client.
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
"""So many are kept, the newest."""


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """One file that could not be used.

    Attributes:
        time: when that was found; ISO 8601, UTC.
        file: its path.
        reason: what is wrong with it.
        moved_to: where it lies now; None where it was gone.
        lost: what there is no longer, in words.
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


class _Losses(msgspec.Struct):
    losses: list[Loss]


def read_losses(root: Path) -> list[Loss]:
    """What is still to be said of a home; a loss whose damaged file was taken away by the user is mended."""
    try:
        known = decode_sealed(read_regular(root / NAME, LIMIT), _Losses).losses
    except (OSError, msgspec.DecodeError):
        return []
    return [loss for loss in known if loss.moved_to is None or os.path.lexists(loss.moved_to)]


def note_losses(root: Path, losses: Sequence[Loss]) -> None:
    """Add to what is to be said.

    Raises:
        OSError: it cannot be written.
    """
    if losses:
        kept = [*read_losses(root), *losses][-MOST:]
        write_durably(root / NAME, seal(msgspec.json.encode(_Losses(kept))))


def acknowledge_losses(root: Path) -> None:
    """The user has read them: they are not said again.

    Raises:
        OSError: it cannot be written.
    """
    (root / NAME).unlink(missing_ok=True)
