"""Locks that the kernel lets go of when their holder dies: one for the home, one for each run directory."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from saetui.errors import SupervisorError
from saetui.home import Home

PROBE_SECONDS = 0.2
"""A client that asks whether the lock is held holds it for an instant itself; no longer than this."""


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock (closed on exec); None when someone else holds it.

    Raises:
        OSError: the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return None
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock; a lock that nobody has made is free."""
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def become_the_supervisor(home: Home) -> int:
    """Take the home's lock for life, and leave this process's pid in it; the descriptor that holds it.

    Raises:
        SupervisorError: another supervisor has it.
    """
    descriptor = try_lock(home.supervisor_lock)
    deadline = time.monotonic() + PROBE_SECONDS
    while descriptor is None and time.monotonic() < deadline:
        time.sleep(0.01)
        descriptor = try_lock(home.supervisor_lock)
    if descriptor is None:
        pid = home.supervisor_lock.read_text().strip() or "unknown"
        raise SupervisorError(
            f"Another supervisor (pid {pid}) serves {home.root}.",
            "Use it, or stop it with `saetui supervisor stop` (trainings go on).",
        )
    # The file is never removed by us, but by whoever removes the home: see `still_ours`.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def still_ours(home: Home, descriptor: int) -> bool:
    """Whether the lock that is held is the one that others would find: not so when the home was removed or replaced."""
    try:
        found = home.supervisor_lock.stat()
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
