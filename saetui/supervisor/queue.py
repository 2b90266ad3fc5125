"""The queue: its order, and what keeps a queued job from starting: another job, or something that has run out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from saetui.display.figures import duration
from saetui.jobs.job import JobError, Status
from saetui.protocol.messages import Place
from saetui.supervisor.auto_resume import waits_for_auto_resume
from saetui.supervisor.jobs import Jobs, with_status
from saetui.supervisor.record import Record

FIRST_DELAY, LONGEST_DELAY = 1.0, 60.0
"""Seconds until something that has run out is asked for again."""


def placed(order: Sequence[str], chosen: Sequence[str], to: Place) -> list[str]:
    """The queue with the chosen jobs in another place; the others keep their order.

    First and last take them in the order in which they were named. Up and down move each by one place, and neighbours stay
    together.
    """
    rest = [job_id for job_id in order if job_id not in set(chosen)]
    if to is Place.FIRST:
        return [*chosen, *rest]
    if to is Place.LAST:
        return [*rest, *chosen]
    if to is Place.UP:
        return _up(list(order), frozenset(chosen))
    return _up(list(reversed(order)), frozenset(chosen))[::-1]


def _up(order: list[str], chosen: frozenset[str]) -> list[str]:
    for index in range(1, len(order)):
        if order[index] in chosen and order[index - 1] not in chosen:
            order[index - 1 : index + 1] = [order[index], order[index - 1]]
    return order


def settle_dependencies(jobs: Jobs) -> None:
    """Free the queued jobs whose dependency has completed, and fail those whose dependency never will.

    Raises:
        HomeError: the store cannot be written; nothing has changed then.
    """
    jobs.update([changed for record in jobs.queue() if (changed := _settled(jobs, record)) is not None])


_ENDS = {Status.STOPPED: "been stopped", Status.FAILED: "failed", Status.LOST: "been lost"}


def _settled(jobs: Jobs, record: Record) -> Record | None:
    """The record after the job that it waits for has ended; None where it waits for none, or still does."""
    awaited = record.job.after
    if awaited is None:
        return None
    if awaited not in jobs:
        return _failed(record, f"It waited for job {awaited}, which was deleted.")
    dependency = jobs[awaited]
    status = dependency.job.status
    if status is Status.COMPLETED:
        return record.with_job(after=None)
    if not status.ended or waits_for_auto_resume(dependency):
        return None
    error = dependency.job.error
    reason = f": {error.message}" if error is not None else "."
    return _failed(record, f"It waited for {dependency.job.name} ({awaited}), which has {_ENDS[status]}{reason}")


def _failed(record: Record, message: str) -> Record:
    suggestion = "Resume that job, then resume this one."
    return with_status(record, Status.FAILED, JobError(kind="dependency", message=message, suggestion=suggestion))


@dataclass(frozen=True)
class _Delay:
    seconds: float
    until: float
    reason: str


class Postponed:
    """The jobs that wait for something that has run out, each twice as long as before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._delays: dict[str, _Delay] = {}

    def waits(self, job_id: str) -> bool:
        """Whether it is too early to try again."""
        return job_id in self._delays and self._clock() < self._delays[job_id].until

    def message(self, job_id: str) -> str | None:
        """For the user: why a job waits; None where it does not."""
        delay = self._delays.get(job_id)
        return (
            None if delay is None else f"It waits and is tried again every {duration(delay.seconds)}: {delay.reason}."
        )

    def put_off(self, job_id: str, reason: str) -> float:
        """The job could not start again; returns the seconds until the next attempt."""
        before = self._delays.get(job_id)
        seconds = FIRST_DELAY if before is None else min(2 * before.seconds, LONGEST_DELAY)
        self._delays[job_id] = _Delay(seconds, self._clock() + seconds, reason)
        return seconds

    def done(self, job_id: str) -> None:
        """The job has started, or is not tried any more."""
        self._delays.pop(job_id, None)
