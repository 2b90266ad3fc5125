"""Starting jobs again by themselves, where the user has switched it on: after a kill, or after the machine went down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from saetui.display.figures import duration
from saetui.jobs.job import JobError, Status
from saetui.jobs.preferences import Preferences
from saetui.supervisor.attempts import forget_end
from saetui.supervisor.jobs import Jobs, queued, with_status
from saetui.supervisor.outcome import KILLED, LOST, RESUME, Outcome
from saetui.supervisor.record import Record

LONGEST_DELAY = 3600.0
"""Seconds; on a machine that kills a training again and again, it is not started more often than this."""

log = logging.getLogger(__name__)


class AutoResume:
    """Decides which ended jobs shall be started again, and when.

    The decision is recorded with the end of the job; only the delay is counted here, and begins anew with a new supervisor.
    """

    def __init__(
        self, jobs: Jobs, preferences: Callable[[], Preferences], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._jobs = jobs
        self._preferences = preferences
        self._clock = clock
        self._since: dict[str, float] = {}

    def ended(self, record: Record, outcome: Outcome) -> Record:
        """The record of a job that has just ended, with whether it is started again."""
        preferences, error = self._preferences(), outcome.error
        ended = with_status(record, outcome.status, error)
        if error is None or error.kind not in (KILLED, LOST) or not preferences.auto_resume:
            return ended
        done, most = record.job.resumes, preferences.auto_resume_tries
        if done >= most:
            times = "once" if done == 1 else f"{done} times"
            hint = f"It was started again {times} by itself and is not any more. {error.suggestion or ''}"
            return _with_suggestion(ended, error, hint)
        delay = delay_before(done + 1, preferences)
        hint = (
            f"It starts again by itself after {duration(delay)} (attempt {done + 1} of {most}), unless it is stopped."
        )
        return msgspec.structs.replace(_with_suggestion(ended, error, hint), auto_resume=True)

    def start_due(self) -> None:
        """Queue the jobs whose delay is over.

        Raises:
            HomeError: the store cannot be written; they are queued later.
        """
        now, preferences = self._clock(), self._preferences()
        for record in self._jobs.records():
            if not record.auto_resume:
                self._since.pop(record.id, None)
                continue
            delay = delay_before(record.job.resumes + 1, preferences)
            if not preferences.auto_resume:
                # Switched off during the delay.
                self._jobs.update([without_auto_resume(record)])
            elif now >= self._since.setdefault(record.id, now) + delay:
                try:
                    ready = forget_end(record)
                except OSError as error:
                    # The other jobs must not wait for this one; its delay begins once more.
                    self._since[record.id] = now
                    log.warning("job %s cannot be started again now: %s", record.id, error)
                    continue
                log.warning("job %s is started again by itself", record.id)
                self._jobs.update([queued(ready, self._jobs.last_rank() + 1, resumes=record.job.resumes + 1)])


def delay_before(attempt: int, preferences: Preferences) -> float:
    """Seconds before an attempt (the first is 1): twice as long each time."""
    delay: float = preferences.auto_resume_delay * 2.0 ** (attempt - 1)
    return min(delay, LONGEST_DELAY)


def waits_for_auto_resume(record: Record) -> bool:
    """Whether an ended job will be started again by itself."""
    return record.auto_resume and record.job.status in (Status.FAILED, Status.LOST)


def without_auto_resume(record: Record) -> Record:
    """The record of a job that waits to be started again, and shall not be."""
    assert record.job.error is not None
    return _with_suggestion(msgspec.structs.replace(record, auto_resume=False), record.job.error, RESUME)


def _with_suggestion(record: Record, error: JobError, suggestion: str) -> Record:
    return record.with_job(error=msgspec.structs.replace(error, suggestion=suggestion))
