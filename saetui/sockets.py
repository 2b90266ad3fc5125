"""Where the socket of a home lies: in a directory of /tmp that only this user may enter, whoever else is on the machine.

The usual directory has a name that everybody can guess, and in /tmp everybody may take it first. Then a directory of a random
name serves, which is written down in the home. Nothing is trusted by its name: owner and mode are looked at (lstat).
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
"""Bytes that a Unix socket's path may have (sun_path less its end mark)."""

_NAME_BYTES = 48
"""Bytes of the socket's own name, under which it is bound first, and the slash."""

_RECORD = "socket-directory"
_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")


def socket_directory(root: Path) -> Path:
    """Where the socket of a home is looked for.

    Args:
        root: of the home.
    """
    return _recorded(root) or _usual()


def make_socket_directory(root: Path) -> Path:
    """Make the directory, or find the one that serves: the usual one wherever this is possible.

    Raises:
        HomeError: a directory that only this user may enter can be made nowhere.
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
                    "Make room or give this user the right to write there.",
                ) from error
            return made
    raise HomeError(
        f"{usual} is not a private directory of this user, and none can be made in {', '.join(_PARENTS)} or {root}.",
        f"Look at it (ls -ld {usual}), and make room in one of them.",
    )


def is_private(directory: Path) -> bool:
    """Whether it is a directory, no link, of this user, and closed to others."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _usual() -> Path:
    """Not XDG_RUNTIME_DIR: that vanishes at the last logout, and jobs outlive it."""
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
    """The usual directory serves again; the other one goes unless something lies in it."""
    recorded = _recorded(root)
    with contextlib.suppress(OSError):
        (root / _RECORD).unlink()
    if recorded is not None:
        with contextlib.suppress(OSError):
            recorded.rmdir()
