"""A file that is replaced as a whole and has a second generation beside it: which of the two is used at a start.

A file that cannot be read is moved aside and reported, never overwritten; a sound one of the two is used.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from saetui.formats.durable import fsync_directory, write_durably
from saetui.formats.regular import NotRegular, TooLarge, read_regular

log = logging.getLogger(__name__)

LIMIT = 512 << 20
"""Bytes that a file of the store may have: some hundred thousand jobs."""

WhyUnreadable = Callable[[bytes], "str | None"]
"""Why a content is not one that was written; None where it is."""


@dataclass(frozen=True)
class MovedAside:
    """A file that could not be read: where it was, where it is now, and what is wrong with it."""

    path: Path
    to: Path
    reason: str


@dataclass(frozen=True)
class Generations:
    """What was found of a file.

    Attributes:
        sound: the file itself is there as it was last written.
        previous_in_use: it was not, and its second generation has taken its place.
        moved: the files of either generation that could not be read.
    """

    sound: bool
    previous_in_use: bool
    moved: tuple[MovedAside, ...]

    @property
    def present(self) -> bool:
        """Whether there is a content to go on with."""
        return self.sound or self.previous_in_use


def previous_generation(path: Path) -> Path:
    """Where the second generation of a file is kept."""
    return path.with_name(f"{path.name}.previous")


def recover(path: Path, why_unreadable: WhyUnreadable) -> Generations:
    """Make sure that the file is sound, or absent; remove the temporary files of an interrupted write.

    Raises:
        HomeError: (from `why_unreadable`) a newer saetui wrote it.
        OSError: it cannot be read or written at all.
    """
    for leftover in path.parent.glob(f".{path.name}*.tmp"):
        with contextlib.suppress(IsADirectoryError):  # not one of ours
            leftover.unlink()
    moved = []
    for generation in (path, previous_generation(path)):
        reason = _check(generation, why_unreadable)
        if reason is not None:
            moved.append(_move_aside(generation, reason))
    if path.exists():
        return Generations(True, False, tuple(moved))
    previous = previous_generation(path)
    if not previous.exists():
        return Generations(False, False, tuple(moved))
    write_durably(path, read_regular(previous, LIMIT))
    log.warning("the previous generation of %s is in use", path)
    return Generations(False, True, tuple(moved))


def keep_previous(path: Path) -> None:
    """Give the present file a second name, under which it stays while it is replaced."""
    if inode(path) == inode(previous_generation(path)):
        # The last write failed after this. Renaming one name of a file onto another of it would leave both.
        return
    temporary = _temporary(path)
    try:
        os.link(path, temporary)
    except OSError:
        # Some file systems have no hard links.
        shutil.copyfile(path, temporary)
    os.replace(temporary, previous_generation(path))


def put_back(path: Path, *, was_there: bool) -> None:
    """Make the previous generation the present one again, or remove the first one ever written."""
    if was_there:
        temporary = _temporary(path)
        shutil.copyfile(previous_generation(path), temporary)
        temporary.chmod(0o600)
        os.replace(temporary, path)
    else:
        path.unlink()


def inode(path: Path) -> int | None:
    """Which file has this name; None where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _check(path: Path, why_unreadable: WhyUnreadable) -> str | None:
    """Why a generation cannot be used; None where it can be, or is not there."""
    if not os.path.lexists(path):
        return None
    try:
        return why_unreadable(read_regular(path, LIMIT))
    except FileNotFoundError:
        return "it is a link that leads nowhere"
    except (NotRegular, TooLarge) as error:
        return error.strerror
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return "the disk cannot read it"


def _move_aside(path: Path, reason: str) -> MovedAside:
    aside = path.with_name(f"{path.name}.unreadable-{secrets.token_hex(4)}")
    os.rename(path, aside)
    fsync_directory(path.parent)
    log.error("%s could not be read (%s); it was moved to %s", path, reason, aside)
    return MovedAside(path, aside, reason)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
