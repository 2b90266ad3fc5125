"""Gives back to the system what large messages took."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

LARGE = 128 << 10
"""Bytes from which on a block is mapped by itself, and unmapped as soon as it is free: glibc's own first value."""


def give_back_freed_memory() -> bool:
    """Tell glibc to map large blocks by themselves for ever, and to keep one heap for all threads.

    By default it raises the threshold to the largest block that was ever freed, up to 32 MiB: after the first message of
    a megabyte all later ones lie in the heap, whose holes are not given back. The values are those of mallopt(3).

    Returns:
        Whether it was done: False where the C library is not glibc, and nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_M_MMAP_THRESHOLD, LARGE), (_M_TRIM_THRESHOLD, LARGE), (_M_ARENA_MAX, 1))
    accepted = [mallopt(setting, value) == 1 for setting, value in settings]
    return all(accepted)
