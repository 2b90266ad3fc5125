"""How fast a training goes: tokens a second over a moving window."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW_SECONDS = 20.0
FEWEST_STEPS = 64
"""The buffer is refilled all at once, every dozen steps or so: a shorter window would show that and not the speed."""


class Speed:
    """Counts finished steps against the clock; what evaluations, saves and pauses take is left out."""

    def __init__(self, tokens_a_step: int, seconds: float = 0.0) -> None:
        """`seconds`: of training in earlier processes of the same run."""
        self._tokens = tokens_a_step
        self._away = 0.0
        self._outside = 0
        self._began = self._now() - seconds
        self._marks: deque[float] = deque([self._now()])

    def step(self) -> None:
        """A step is finished."""
        now = self._now()
        self._marks.append(now)
        while len(self._marks) > FEWEST_STEPS + 1 and now - self._marks[0] > WINDOW_SECONDS:
            self._marks.popleft()

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """The time that the block takes is not training; blocks may stand in each other."""
        began = time.monotonic()
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1
            if self._outside == 0:
                self._away += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """Training time of the whole run so far."""
        return self._marks[-1] - self._began

    def tokens_per_second(self) -> float:
        """Over the window: at least some dozens of steps (fewer at the start), at most about 20 s of faster ones."""
        seconds = self._marks[-1] - self._marks[0]
        return (len(self._marks) - 1) * self._tokens / seconds if seconds > 0 else 0.0

    def _now(self) -> float:
        return time.monotonic() - self._away
