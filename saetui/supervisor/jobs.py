"""The jobs as they are now: in memory for every request, in the store for the next start, published to all subscribers."""

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


class Jobs:
    """All jobs of this home. A change of state is stored before it is published; progress is only published.

    Raises (every method that changes a state): HomeError: the store cannot be written; every job is as before then.
    """

    def __init__(self, home: Home, store: Store, publish: Callable[[Change], None]) -> None:
        self._store = store
        self._publish = publish
        # The home may have been elsewhere when the record was written.
        self._records = {record.id: record.with_job(directory=str(home.run(record.id))) for record in store.jobs()}

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._records

    def __getitem__(self, job_id: str) -> Record:
        return self._records[job_id]

    def records(self) -> list[Record]:
        """All jobs, oldest first."""
        return list(self._records.values())

    def all(self) -> tuple[Job, ...]:
        """All jobs, oldest first."""
        return tuple(record.job for record in self._records.values())

    def names(self) -> set[str]:
        return {record.job.name for record in self._records.values()}

    def add(self, *records: Record) -> None:
        """Record new jobs, all in one step, and publish them."""
        self._store.save_jobs(records)
        for record in records:
            self._records[record.id] = record
            self._publish(JobChanged(record.job))

    def set_status(self, job_id: str, status: Status) -> Job:
        self.update([with_status(self._records[job_id], status)])
        return self._records[job_id].job

    def update(self, changed: Sequence[Record]) -> None:
        """Record jobs that have changed, all in one step, and publish them."""
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
                log.warning("job %s: the copy of its record was not written: %s", record.id, failure)

    def show_progress(self, job: Job) -> None:
        """Publish new figures of a job whose state is the same."""
        record = self._records[job.id]
        if record.job != job:
            self._records[job.id] = msgspec.structs.replace(record, job=job)
            self._publish(JobChanged(job, progress_only=True))

    def remove(self, *job_ids: str) -> None:
        """Forget jobs, all in one step."""
        self._store.remove_jobs(frozenset(job_ids))
        for job_id in job_ids:
            del self._records[job_id]
            self._publish(JobRemoved(job_id))

    def queue(self) -> list[Record]:
        """The queued jobs, in the order in which they shall start."""
        queued_jobs = [record for record in self._records.values() if record.job.status is Status.QUEUED]
        return sorted(queued_jobs, key=lambda record: queue_key(record.job))

    def last_rank(self) -> int:
        """The rank of the last job of the queue."""
        return max((record.job.queue_rank or 0 for record in self._records.values()), default=0)

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
            raise InvalidInput(f"The ids of several jobs begin with {text!r}: {ids}.", "Give one more letter.")
        near = difflib.get_close_matches(text[:100], [*self.names(), *self._records], n=1)
        hint = f"Did you mean {near[0]}?" if near else "`saetui jobs` lists all jobs."
        raise NotFound(f"No job is called {shortened(text)!r}.", hint)

    def find_all(self, texts: Iterable[str]) -> list[Record]:
        """Each job once, in the order asked."""
        return list({record.id: record for record in map(self.find, texts)}.values())

    def require_free_name(self, name: str) -> None:
        """Refuse, as a Conflict, a name for a new job that another job has."""
        for record in self._records.values():
            if record.job.name == name:
                raise Conflict(
                    f"name: {name!r} is taken by job {record.id} ({record.job.status.value}).",
                    "Choose another name, or leave it out and one is made.",
                )


def with_status(record: Record, status: Status, error: JobError | None = None, *, unloaded: bool = False) -> Record:
    """A record in another state, with its times, and without what only a job with a process has where there is none.

    `error`: why it failed. `unloaded`: it is paused without a process.
    """
    before = record.job
    has_process = status in (Status.STARTING, Status.RUNNING) or (status is Status.PAUSED and not unloaded)
    measured = status in (Status.STARTING, Status.RUNNING, Status.STOPPING)
    return msgspec.structs.replace(record, auto_resume=False).with_job(
        status=status,
        error=error,
        unloaded=unloaded,
        desired_state=before.desired_state if has_process else DesiredState.RUN,
        queue_rank=before.queue_rank if status is Status.QUEUED else None,
        degraded=before.degraded if has_process else None,
        phase=before.phase if measured else None,
        started_at=before.started_at or (now() if status is Status.STARTING else None),
        ended_at=now() if status.ended else None,
        tokens_per_second=before.tokens_per_second if measured else None,
        eta_seconds=before.eta_seconds if measured else None,
    )


def queued(record: Record, rank: int, *, resumes: int = 0) -> Record:
    """A record in the queue. `resumes`: how often in a row the job was started again by itself."""
    return with_status(record, Status.QUEUED).with_job(queue_rank=rank, resumes=resumes)
