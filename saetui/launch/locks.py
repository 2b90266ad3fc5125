"""Locks that the kernel releases when their holder dies: one for the home, one for each run directory."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

_SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def try_lock(path: Path, *, make: bool = True) -> int | None:
    """A descriptor that holds the lock (closed on exec); None when someone else holds it. `make`: a missing file.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0) | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock. A lock without a file is free, and so is a file that cannot be locked at all.

    Raises:
        OSError: the machine is short of descriptors or memory, so that this cannot be known now.
    """
    if not path.is_file():
        return False
    try:
        descriptor = try_lock(path, make=False)
    except OSError as error:
        if is_shortage(error):
            raise
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def is_shortage(error: OSError) -> bool:
    """Whether the error passes by itself: only room, memory, files or processes are missing."""
    return error.errno in _SHORTAGES
