"""The other end of tests/benchmarks/step.py: a step each time a line arrives, answered with milliseconds and peak bytes;
at the end the L0 of the last step.

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


def take_turns(step: Callable[[], object], l0: Callable[[], float]) -> None:
    """Answer until standard input ends. Everything that the training keeps must be there already.

    `l0`: latents that fired for a token in the last step. It is asked once, after the last answer, so that it adds neither
    time nor memory to a step.
    """
    before = resident_bytes()
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        taken = (time.perf_counter() - began) * 1000
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        print(f"turn {taken:.3f} {max(0, peak)}", flush=True)
    print(f"l0 {l0():.6g}", flush=True)
