"""The lock of the home: whoever holds it is its supervisor."""

from __future__ import annotations

import os
import time

from saetui.errors import SupervisorError
from saetui.formats.regular import read_regular
from saetui.home import LOCK_LIMIT, Home, served_root
from saetui.launch.locks import try_lock
from saetui.launch.presence import DirectoryId, directory_id

PROBE_SECONDS = 0.2
"""A client that asks whether the lock is held holds it for an instant itself; no longer than this."""


def take_home_lock(home: Home) -> int:
    """Take the home's lock for life, and write this process's pid and the home's root into it. Returns the descriptor.

    By that root `find_home` recognises the home behind another path (a bind mount).

    Raises:
        SupervisorError: another supervisor has the lock.
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
    # We never remove the file; whoever removes the home does: see `still_serves`.
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, b"%d\n%s\n" % (os.getpid(), os.fsencode(home.root)), 0)
    return descriptor


def still_serves(home: Home, lock: int, runs: DirectoryId | None) -> bool:
    """Whether neither the home nor its `runs/` (at the start: `runs`) was removed, moved or replaced.

    `lock`: the descriptor that holds the home's lock. Others must find this same file.
    """
    if directory_id(home.runs) != runs:
        return False
    try:
        found = home.supervisor_lock.stat()
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(lock))
