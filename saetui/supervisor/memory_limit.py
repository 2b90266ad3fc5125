"""Bounds the supervisor's memory: what all clients together may make it keep, and what it gives back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Collection
from typing import Protocol

LIMIT = 48 << 20
"""Bytes kept for all clients together, sent or received. Each has a limit of its own, but there may be hundreds."""

ALWAYS_ALLOWED = 256 << 10
"""Bytes that any client may hold: one that keeps up never has more."""

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

LARGE_BLOCK = 128 << 10
"""Bytes. From this size on a block is mapped by itself, and unmapped as soon as it is free: glibc's initial value."""


class Client(Protocol):
    """A client and its memory."""

    @property
    def held(self) -> int:
        """Bytes kept for the client, sent or received; 0 once its connection has ended."""

    def cut(self, reason: str) -> None:
        """End its connection at once."""


class MemoryLimit:
    """Cuts off the clients that hold most while all hold too much. A client that lives connects again."""

    def __init__(self, clients: Collection[Client], limit: int = LIMIT) -> None:
        """`clients`: the present ones, always. `limit`: bytes."""
        self._clients = clients
        self._limit = limit

    def enforce(self, grown: Client) -> None:
        """Called when a client holds more than before."""
        if grown.held <= ALWAYS_ALLOWED:
            return
        held = {client: client.held for client in self._clients}
        total = sum(held.values())
        while total > self._limit:
            largest = max(held, key=lambda client: held[client])
            total -= held.pop(largest)
            largest.cut("all clients together hold too much memory")


def give_back_freed_memory() -> bool:
    """Tell glibc to map large blocks by themselves, always, and to keep one heap for all threads.

    By default glibc raises its threshold to the largest block that was ever freed, up to 32 MiB: after the first message of
    a megabyte, all later ones are in the heap, and the gaps in it are not given back. The values are those of mallopt(3).

    Returns:
        Whether it was done: False where the C library is not glibc, and nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, LARGE_BLOCK), (_M_TRIM_THRESHOLD, LARGE_BLOCK), (_M_ARENA_MAX, 1))
    accepted = [mallopt(setting, value) == 1 for setting, value in settings]
    return all(accepted)
