"""Keeps the memory of large tensors in the process, where Linux would take it back and fault it in again at every step.

In that one heap a tensor must be able to reuse the block freed by a tensor of the same size. torch allocates by posix_memalign, and
glibc's cuts the bytes before the aligned address off the block: a sliver that goes to a cache for small blocks and never joins its
neighbours again, so that the next tensor of the same size does not fit and the heap grows. So those caches are off: the ones of
threads by an environment variable (saetui/child_processes.py), the process's own here.
"""

from __future__ import annotations

import ctypes
import sys

_M_MXFAST = 1
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Make glibc serve every allocation from now on from one heap that never shrinks; memory that is unused now is given back first.

    A step on the CPU makes and frees tensors of up to 100 MB. By default glibc maps and unmaps each of them, so that every page is
    faulted in and zeroed again; on a virtual machine that took four fifths of the training time. The values are those of mallopt(3).

    Returns:
        Whether it was done: False where the C library is not glibc, and nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    ctypes.CDLL(None).malloc_trim(0)
    settings = ((_M_MXFAST, 0), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 16 * 2**20))
    accepted = [mallopt(setting, value) == 1 for setting, value in settings]
    return all(accepted)
