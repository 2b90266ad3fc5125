"""Processes that must not outlive the one that started them, even when that is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def tied_to(parent: int) -> Callable[[], None]:
    """What a new process does early, so that the system ends it should its parent be gone, or go; Linux alone has it.

    Args:
        parent: the process id of who starts it.

    Returns:
        A function for the new process. All is loaded before: between fork and exec as little as possible is done.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return end_with_parent
