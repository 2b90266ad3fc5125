"""Locks that the kernel lets go of when their holder dies: one for the home, one for each run directory."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from saetui.errors import SupervisorError
from saetui.formats.regular import read_regular
from saetui.home import LOCK_LIMIT, Home, served_root
from saetui.launch.presence import Place, place_of
from saetui.launch.shortage import is_shortage

PROBE_SECONDS = 0.2
"""A client that asks whether the lock is held holds it for an instant itself; no longer than this."""


def try_lock(path: Path, *, make: bool = True) -> int | None:
    """A descriptor that holds the lock (closed on exec); None when someone else holds it.

    Args:
        path: the lock's file.
        make: whether to make it where it is missing.

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
    """Whether a process holds the lock. One that nobody has made is free, and so is what cannot be locked at all.

    Raises:
        OSError: the machine is short of descriptors or memory: whether the lock is held cannot be told now.
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


def become_the_supervisor(home: Home) -> int:
    """Take the home's lock for life; the descriptor that holds it. In it stand this process's pid and the home's root.

    By that root other paths to the same directory (a bind mount) are known for the same home: see `find_home`.

    Raises:
        SupervisorError: another supervisor has it.
    """
    descriptor = try_lock(home.supervisor_lock)
    deadline = time.monotonic() + PROBE_SECONDS
    while descriptor is None and time.monotonic() < deadline:
        time.sleep(0.01)
        descriptor = try_lock(home.supervisor_lock)
    if descriptor is None:
        content = read_regular(home.supervisor_lock, LOCK_LIMIT)
        pid = content.split(b"\n")[0].decode(errors="replace") or "unknown"
        raise SupervisorError(
            f"Another supervisor (pid {pid}) serves {served_root(content) or home.root}.",
            "Use it, or stop it with `saetui supervisor stop` (trainings go on).",
        )
    # The file is never removed by us, but by whoever removes the home: see `still_ours`.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n%s\n" % (os.getpid(), os.fsencode(home.root)), 0)
    return descriptor


def still_ours(home: Home, descriptor: int, runs: Place | None) -> bool:
    """Whether the home is still the one that is served: not so when it, or its `runs/`, was removed, moved or replaced.

    Args:
        home: what is served.
        descriptor: the lock that is held; it must be the one that others would find.
        runs: which directory `runs/` was.
    """
    if place_of(home.runs) != runs:
        return False
    try:
        found = home.supervisor_lock.stat()
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
