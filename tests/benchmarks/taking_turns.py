"""The other end of tests/benchmarks/step.py: a step each time a line arrives, answered with milliseconds and peak bytes.

Imported by scripts that run with the peers' Pythons: the standard library only.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable


def resident_bytes() -> int:
    """The resident memory of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def take_turns(step: Callable[[], object]) -> None:
    """Answer until standard input ends. Everything that the training keeps must be there already."""
    before = resident_bytes()
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        taken = (time.perf_counter() - began) * 1000
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        print(f"turn {taken:.3f} {max(0, peak)}", flush=True)
