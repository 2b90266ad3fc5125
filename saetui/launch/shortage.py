"""Errors that pass by themselves: something has run out. A job waits for it, a little longer each time."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds before the next try."""

_SHORTAGES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


def is_shortage(error: OSError) -> bool:
    """Whether room, memory, files or processes are all that is missing."""
    return error.errno in _SHORTAGES


@dataclass(frozen=True)
class _Wait:
    delay: float
    until: float
    why: str


class Waiting:
    """The jobs that wait for something that has run out, each twice as long as before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[str, _Wait] = {}

    def waits(self, job_id: str) -> bool:
        """Whether it is too early to try again."""
        return job_id in self._waits and self._clock() < self._waits[job_id].until

    def word(self, job_id: str) -> str | None:
        """What a job waits for, as its user reads it; None where it waits for nothing."""
        wait = self._waits.get(job_id)
        return None if wait is None else f"It waits and is tried again every {wait.delay:g} s: {wait.why}."

    def put_off(self, job_id: str, why: str) -> float:
        """It failed again; the seconds until the next try."""
        before = self._waits.get(job_id)
        delay = FIRST_DELAY if before is None else min(2 * before.delay, LONGEST_DELAY)
        self._waits[job_id] = _Wait(delay, self._clock() + delay, why)
        return delay

    def done(self, job_id: str) -> None:
        """It went well, or is not tried any more."""
        self._waits.pop(job_id, None)
