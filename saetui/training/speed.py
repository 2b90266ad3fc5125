"""The speed of a training: tokens a second over a moving window."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

WINDOW_SECONDS = 20.0
FEWEST_STEPS = 64
"""The buffer is refilled all at once, about every dozen steps: a shorter window would show the refills, not the speed."""


class Speed:
    """Counts finished steps and their time, without the time of evaluations, saves and pauses."""

    def __init__(self, tokens_a_step: int, seconds: float = 0.0) -> None:
        """`seconds`: of training in earlier processes of the same run."""
        self._tokens = tokens_a_step
        self._away = 0.0
        self._outside = 0
        self._began = self._now() - seconds
        self._marks: deque[float] = deque([self._now()])

    def step(self) -> None:
        """Count a finished step."""
        now = self._now()
        self._marks.append(now)
        while len(self._marks) > FEWEST_STEPS + 1 and now - self._marks[0] > WINDOW_SECONDS:
            self._marks.popleft()

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """The time of the block is not counted; blocks may be nested."""
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
        """Over the window: at least 64 steps (fewer at the start), and all of the last 20 s."""
        seconds = self._marks[-1] - self._marks[0]
        return (len(self._marks) - 1) * self._tokens / seconds if seconds > 0 else 0.0

    def _now(self) -> float:
        return time.monotonic() - self._away
