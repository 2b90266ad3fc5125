"""Where the socket of a home lies: in a directory of /tmp that only this user may enter.

Everybody can guess the name of the usual directory, and another user may take it first. Then saetui uses a directory with a
random name and records it in the home. No directory is trusted by its name: owner and mode are checked (lstat).
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from saetui.errors import HomeError
from saetui.formats.durable import write_durably
from saetui.formats.regular import read_regular

SOCKET_LIMIT = 107
"""The most bytes of a Unix socket's path (sun_path less its end mark)."""

_NAME_BYTES = 48
"""Bytes of the slash and of the temporary name under which the socket is bound first."""

_RECORD = "socket-directory"
_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")


def socket_directory(root: Path) -> Path:
    """Where clients look for the socket of the home in `root`."""
    return _recorded(root) or _usual()


def make_socket_directory(root: Path) -> Path:
    """Make the directory, or find the one in use: the usual one where this is possible.

    Raises:
        HomeError: no directory can be made that only this user may enter.
    """
    usual = _usual()
    if _make_private(usual):
        _forget_record(root)
        return usual
    recorded = _recorded(root)
    if recorded is not None:
        return recorded
    for parent in (*map(Path, _PARENTS), root):
        made = _make_random(parent)
        if made is not None:
            try:
                write_durably(root / _RECORD, os.fsencode(made))
            except OSError as error:
                made.rmdir()
                raise HomeError(
                    f"{root / _RECORD} cannot be written: {error.strerror}.",
                    "Free some space, or give this user the right to write there.",
                ) from error
            return made
    raise HomeError(
        f"{usual} is not a private directory of this user, and none can be made in {', '.join(_PARENTS)} or {root}.",
        f"Look at it (ls -ld {usual}), and make room in one of them.",
    )


def is_private(directory: Path) -> bool:
    """Whether it is a directory (not a link) of this user, closed to others."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _usual() -> Path:
    """Not in XDG_RUNTIME_DIR, which vanishes at the last logout: jobs outlive it."""
    return Path("/tmp") / f"saetui-{os.getuid()}"


def _recorded(root: Path) -> Path | None:
    try:
        directory = Path(os.fsdecode(read_regular(root / _RECORD, SOCKET_LIMIT)))
    except OSError:
        return None
    return directory if is_private(directory) else None


def _make_private(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700)
    return is_private(directory)


def _make_random(parent: Path) -> Path | None:
    try:
        made = Path(tempfile.mkdtemp(prefix="saetui-", dir=parent))
    except OSError:
        return None
    if len(os.fsencode(made)) + _NAME_BYTES <= SOCKET_LIMIT:
        return made
    made.rmdir()
    return None


def _forget_record(root: Path) -> None:
    """The usual directory is in use again: remove the other one, unless something is in it."""
    recorded = _recorded(root)
    with contextlib.suppress(OSError):
        (root / _RECORD).unlink()
    if recorded is not None:
        with contextlib.suppress(OSError):
            recorded.rmdir()
