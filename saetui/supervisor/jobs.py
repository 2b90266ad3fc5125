"""The jobs as they are now: in memory for everyone who asks, in the store for tomorrow, told to all who listen."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Sequence

import msgspec

from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.paths import shortened
from saetui.formats.times import now
from saetui.home import Home
from saetui.jobs.job import TRANSITIONS, DesiredState, Job, JobError, Status, queue_key
from saetui.protocol.messages import Change, JobChanged, JobRemoved
from saetui.supervisor.record import Record, write_copy
from saetui.supervisor.store import Store

log = logging.getLogger(__name__)


class Board:
    """All jobs of this home. A change of state is durable before anyone hears of it; progress is only told."""

    def __init__(self, home: Home, store: Store, publish: Callable[[Change], None]) -> None:
        self._store = store
        self._publish = publish
        self._records = {record.id: at_home(home, record) for record in store.jobs()}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._records

    def __getitem__(self, job_id: str) -> Record:
        return self._records[job_id]

    def records(self) -> list[Record]:
        """All jobs, oldest first."""
        return list(self._records.values())

    def jobs(self) -> tuple[Job, ...]:
        """All jobs, oldest first."""
        return tuple(record.job for record in self._records.values())

    def names(self) -> set[str]:
        return {record.job.name for record in self._records.values()}

    def add(self, record: Record) -> None:
        """A new job.

        Raises:
            HomeError: the store cannot be written; there is no new job then.
        """
        self._store.save_job(record)
        self._records[record.id] = record
        self._publish(JobChanged(record.job))

    def move(self, job_id: str, status: Status, error: JobError | None = None) -> Job:
        """Another state, with its times.

        Raises:
            HomeError: the store cannot be written; the job is as before then.
        """
        self.write([moved(self._records[job_id], status, error)])
        return self._records[job_id].job

    def write(self, changed: Sequence[Record]) -> None:
        """Record jobs that have changed, all in one step, and tell everyone.

        Raises:
            HomeError: the store cannot be written; every job is as before then.
        """
        if not changed:
            return
        for record in changed:
            before, after = self._records[record.id].job.status, record.job.status
            assert before is after or after in TRANSITIONS[before], f"{before.value} → {after.value}"
        self._store.save_jobs(changed)
        for record in changed:
            before = self._records[record.id].job.status
            self._records[record.id] = record
            self._publish(JobChanged(record.job))
            log.info("job %s (%s): %s → %s", record.id, record.job.name, before.value, record.job.state)
            try:
                write_copy(record)
            except OSError as failure:
                log.warning("job %s: its copy of the record was not written: %s", record.id, failure)

    def queue(self) -> list[Record]:
        """The jobs that wait, in the order in which they shall start."""
        waiting = [record for record in self._records.values() if record.job.status is Status.QUEUED]
        return sorted(waiting, key=lambda record: queue_key(record.job))

    def last_rank(self) -> int:
        """The rank behind which a job is the last of the queue."""
        return max((record.job.queue_rank or 0 for record in self._records.values()), default=0)

    def show_progress(self, job: Job) -> None:
        """New figures of a job whose state is the same."""
        record = self._records[job.id]
        if record.job != job:
            self._records[job.id] = msgspec.structs.replace(record, job=job)
            self._publish(JobChanged(job, progress_only=True))

    def remove(self, *job_ids: str) -> None:
        """Forget jobs, all in one step.

        Raises:
            HomeError: the store cannot be written; they are still there then.
        """
        self._store.remove_jobs(frozenset(job_ids))
        for job_id in job_ids:
            del self._records[job_id]
            self._publish(JobRemoved(job_id))

    def find(self, text: str) -> Record:
        """The job with this id, this name, or this unique beginning of an id.

        Raises:
            NotFound: there is none.
            InvalidInput: several ids begin so.
        """
        if text in self._records:
            return self._records[text]
        named = [record for record in self._records.values() if record.job.name == text]
        if named:
            return named[0]
        begun = [record for record in self._records.values() if text and record.id.startswith(text)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            ids = ", ".join(record.id for record in begun)
            raise InvalidInput(f"{text!r} is the beginning of several jobs' ids: {ids}.", "Give one more letter.")
        near = difflib.get_close_matches(text[:100], [*self.names(), *self._records], n=1)
        hint = f"Did you mean {near[0]}?" if near else "`saetui jobs` lists those that there are."
        raise NotFound(f"No job is called {shortened(text)!r}.", hint)

    def find_all(self, texts: Iterable[str]) -> list[Record]:
        """Each job once, in the order asked."""
        return list({record.id: record for record in map(self.find, texts)}.values())

    def require_free_name(self, name: str) -> None:
        """See that a name can be given to a new job.

        Raises:
            Conflict: another job has it.
        """
        for record in self._records.values():
            if record.job.name == name:
                raise Conflict(
                    f"name: {name!r} is taken by job {record.id} ({record.job.status.value}).",
                    "Choose another name, or leave it out and one is made.",
                )


def at_home(home: Home, record: Record) -> Record:
    """A record with its directory where this home has it, wherever the home was when that was written down."""
    return msgspec.structs.replace(record, job=msgspec.structs.replace(record.job, directory=str(home.run(record.id))))


def moved(record: Record, status: Status, error: JobError | None = None, *, unloaded: bool = False) -> Record:
    """A record in another state, with its times. What only a live job has is gone from one that is not.

    Args:
        record: as it was.
        status: the state that it has now.
        error: why it failed.
        unloaded: it is paused without a process.
    """
    before = record.job
    goes = status in (Status.STARTING, Status.RUNNING) or (status is Status.PAUSED and not unloaded)
    job = msgspec.structs.replace(
        before,
        status=status,
        error=error,
        unloaded=unloaded,
        desired_state=before.desired_state if goes else DesiredState.RUN,
        queue_rank=before.queue_rank if status is Status.QUEUED else None,
        degraded=before.degraded if goes else None,
        started_at=before.started_at or (now() if status is Status.STARTING else None),
        ended_at=now() if status.ended else None,
    )
    if status not in (Status.STARTING, Status.RUNNING, Status.STOPPING):
        job = msgspec.structs.replace(job, tokens_per_second=None, eta_seconds=None)
    return msgspec.structs.replace(record, job=job, revive=False)


def queued(record: Record, rank: int, *, resumes: int = 0) -> Record:
    """A record that waits for its turn.

    Args:
        record: as it was.
        rank: its place in the queue.
        resumes: how often in a row it was started again by itself.
    """
    found = moved(record, Status.QUEUED)
    return msgspec.structs.replace(found, job=msgspec.structs.replace(found.job, queue_rank=rank, resumes=resumes))
