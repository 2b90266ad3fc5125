"""What a process gives to those that it starts: their environment, and an end with its own, even when it is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import saetui

if TYPE_CHECKING:
    from saetui.home import Home

_PR_SET_PDEATHSIG = 1
_TUNABLES = "GLIBC_TUNABLES"
_CACHE_SIZE = "glibc.malloc.tcache_count"


def child_environment(home: Home) -> dict[str, str]:
    """Our environment with the home, and with saetui importable from any directory where it is not installed."""
    package_parent = Path(saetui.__file__).resolve().parent.parent
    environment = {**os.environ, "SAETUI_HOME": str(home.root)}
    if package_parent.name not in ("site-packages", "dist-packages"):
        paths = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(package_parent)])
    return environment


def torch_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that holds tensors: glibc reads this one as it starts (see training/allocator.py).

    A size of glibc's caches that the user has set stays.
    """
    set_before = environment.get(_TUNABLES, "")
    if _CACHE_SIZE in set_before:
        return dict(environment)
    return {**environment, _TUNABLES: ":".join(filter(None, [set_before, f"{_CACHE_SIZE}=0"]))}


def tied_to(parent: int) -> Callable[[], None]:
    """A function for a new process to call early: Linux then ends the process when its parent ends, or has ended already.

    `parent`: the process id of the parent. Everything is loaded before: between fork and exec as little as possible may
    happen.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return end_with_parent
