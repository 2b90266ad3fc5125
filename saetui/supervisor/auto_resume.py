"""Starting jobs again by themselves, where the user has switched it on: after a kill, or after the machine went down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from saetui.jobs.job import JobError, Status
from saetui.jobs.preferences import Preferences
from saetui.supervisor.attempts import forget_end
from saetui.supervisor.jobs import Board, moved, queued
from saetui.supervisor.outcome import KILLED, LOST, Outcome
from saetui.supervisor.record import Record

LONGEST_DELAY = 3600.0
"""Seconds; a machine that kills a training again and again is not asked more often than this."""

log = logging.getLogger(__name__)


class Revival:
    """Decides which ended jobs shall be started again, and when.

    That a job shall be is recorded with its end; only the delay is counted here, and begins anew with a new supervisor.
    """

    def __init__(
        self, board: Board, preferences: Callable[[], Preferences], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._board = board
        self._preferences = preferences
        self._clock = clock
        self._since: dict[str, float] = {}

    def ended(self, record: Record, outcome: Outcome) -> Record:
        """The record of a job that has just ended so, with the word whether it is started again."""
        preferences, error = self._preferences(), outcome.error
        found = moved(record, outcome.status, error)
        if error is None or error.kind not in (KILLED, LOST) or not preferences.auto_resume:
            return found
        tries = record.job.resumes
        if tries >= preferences.auto_resume_tries:
            times = "once" if tries == 1 else f"{tries} times"
            return _saying(found, error, f"It was started again {times} by itself and is not any more. {_hint(error)}")
        delay = delay_before(tries + 1, preferences)
        number = f"try {tries + 1} of {preferences.auto_resume_tries}"
        word = f"It starts again by itself after {delay:g} s ({number}), unless it is stopped."
        return msgspec.structs.replace(_saying(found, error, word), revive=True)

    def start_due(self) -> None:
        """Queue the jobs whose delay is over.

        Raises:
            HomeError: the store cannot be written; they are queued later.
        """
        now, preferences = self._clock(), self._preferences()
        for record in self._board.records():
            if not record.revive:
                self._since.pop(record.id, None)
                continue
            delay = delay_before(record.job.resumes + 1, preferences)
            if not preferences.auto_resume:
                # Switched off while it waited for its delay.
                self._board.write([without_revival(record)])
            elif now >= self._since.setdefault(record.id, now) + delay:
                try:
                    ready = forget_end(record)
                except OSError as error:
                    # The others must not wait for it; it waits for its delay once more.
                    self._since[record.id] = now
                    log.warning("job %s cannot be started again now: %s", record.id, error)
                    continue
                log.warning("job %s is started again by itself", record.id)
                self._board.write([queued(ready, self._board.last_rank() + 1, resumes=record.job.resumes + 1)])


def delay_before(number: int, preferences: Preferences) -> float:
    """Seconds before a try (the first is 1): twice as long each time."""
    delay: float = preferences.auto_resume_delay * 2.0 ** (number - 1)
    return min(delay, LONGEST_DELAY)


def _saying(record: Record, error: JobError, suggestion: str) -> Record:
    told = msgspec.structs.replace(error, suggestion=suggestion)
    return msgspec.structs.replace(record, job=msgspec.structs.replace(record.job, error=told))


def _hint(error: JobError) -> str:
    return error.suggestion or ""


def waits_for_revival(record: Record) -> bool:
    """Whether an ended job will go on by itself."""
    return record.revive and record.job.status in (Status.FAILED, Status.LOST)


def without_revival(record: Record) -> Record:
    """The record of a job that waits for its next try, and shall not have it."""
    assert record.job.error is not None
    stays = msgspec.structs.replace(record, revive=False)
    return _saying(stays, record.job.error, "Resume it: it goes on from its newest checkpoint.")
