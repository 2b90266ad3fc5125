"""File descriptors are few: how many clients there is room for, and one in reserve to turn the next one away with."""

from __future__ import annotations

import os
import resource

CLIENT_LIMIT = 500
"""Clients at once: enough for any use, and descriptors are left for the jobs (a process often has 1024)."""

KEPT_FREE = 40
"""Descriptors that clients leave to the rest: the store, a runner's start, two for each job that lives, drivers, threads."""

FEWEST_CLIENTS = 8


def room_for_clients() -> int:
    """How many clients may be connected at once under this process's limit of descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return CLIENT_LIMIT
    return max(FEWEST_CLIENTS, min(CLIENT_LIMIT, soft - KEPT_FREE))


class Reserve:
    """One descriptor that is kept for the moment when there is no other."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.fill()

    def fill(self) -> bool:
        """Have the descriptor (again); False where there is none to be had."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
        return True

    def spend(self) -> bool:
        """Give the descriptor back to the system for whoever asks next; False where it was not there."""
        if self._descriptor is None:
            return False
        os.close(self._descriptor)
        self._descriptor = None
        return True
