"""The queue at work: one running job on each device, the others in the queue's order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import JobError, Status
from saetui.launch.local import StillAlive, launch
from saetui.launch.locks import is_shortage
from saetui.supervisor.attempts import remove_earlier
from saetui.supervisor.auto_resume import AutoResume
from saetui.supervisor.jobs import Jobs, with_status
from saetui.supervisor.outcome import directory_gone
from saetui.supervisor.queue import Postponed, settle_dependencies
from saetui.supervisor.record import Record
from saetui.supervisor.running_job import RunningJob

POLL_SECONDS = 1.0
"""How often the directory of a running job is read when nothing hints at news."""

PATIENT_POLLS = 2
"""For how many readings a job's directory may be away."""

SETTLE_SECONDS = 0.1
"""Hints that come closer together than this are answered by one reading."""

log = logging.getLogger(__name__)


class Scheduler:
    """Starts queued jobs and follows running ones to their end."""

    def __init__(
        self,
        home: Home,
        jobs: Jobs,
        auto_resume: AutoResume,
        trainer: Sequence[str],
        poll_seconds: float,
        still_serves: Callable[[], bool] = lambda: True,
        recover: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            trainer: the command of a trainer.
            poll_seconds: how often the directories of running jobs are read.
            still_serves: whether the home is still where it was; when it is not, the home is gone, and not its jobs.
            recover: goes on with what could not be recovered at the start; whether everything is. Nothing starts before.
        """
        self._home = home
        self._jobs = jobs
        self._auto_resume = auto_resume
        self._trainer = tuple(trainer)
        self._poll_seconds = poll_seconds
        self._patience = PATIENT_POLLS * poll_seconds
        self._still_serves = still_serves
        self._recover = recover
        self._postponed = Postponed()
        self._gone_since: dict[str, float] = {}
        self._running: dict[str, RunningJob] = {}
        self._wake = asyncio.Event()
        self._logged: dict[str, str] = {}

    def wake(self) -> None:
        """Work soon instead of at the next tick: there may be news."""
        self._wake.set()

    def follow(self, job_id: str) -> RunningJob:
        """Follow a job that is being started, or that an earlier supervisor started (it may have ended since)."""
        running = RunningJob(self._home, self._jobs, self._auto_resume, job_id, self.wake, self._patience)
        self._running[job_id] = running
        self.wake()
        return running

    def running(self, job_id: str) -> RunningJob:
        """A job that holds its device."""
        return self._running[job_id]

    async def work(self) -> None:
        """Follow and start jobs, for ever."""
        while True:
            with self._surviving("queue"):
                await self._work_once()
            try:
                await asyncio.wait_for(self._wake.wait(), self._poll_seconds)
                await asyncio.sleep(SETTLE_SECONDS)
            except asyncio.TimeoutError:
                pass
            self._wake.clear()

    async def _work_once(self) -> None:
        if not self._still_serves():
            return
        self.update_running()
        self._fail_vanished()
        await self._remove_earlier_attempts()
        if self._recover():
            self._start_queued()
        for record in self._jobs.queue():
            waits_for = self._postponed.message(record.id)
            self._jobs.show_progress(msgspec.structs.replace(record.job, degraded=waits_for))

    def update_running(self) -> None:
        """Read what is new of every running job, and record those that have ended."""
        for job_id, running in list(self._running.items()):
            with self._surviving(job_id):
                if running.update():
                    running.close()
                    del self._running[job_id]
                self._logged.pop(job_id, None)

    def close(self) -> None:
        """Follow no job any more; every process goes on."""
        for running in self._running.values():
            running.close()
        self._running.clear()

    def _fail_vanished(self) -> None:
        """Fail the jobs without a process whose directory has been away for longer than a moment."""
        now = time.monotonic()
        for record in self._jobs.records():
            job = record.job
            without_process = job.status is Status.QUEUED or (job.status is Status.PAUSED and job.unloaded)
            if not without_process or record.run.path.is_dir():
                self._gone_since.pop(record.id, None)
            elif now >= self._gone_since.setdefault(record.id, now) + self._patience:
                self._update(with_status(record, Status.FAILED, directory_gone(record.run.path)))
        for job_id in [job_id for job_id in self._gone_since if job_id not in self._jobs]:
            del self._gone_since[job_id]

    async def _remove_earlier_attempts(self) -> None:
        """Remove what earlier attempts wrote of the jobs that shall start from the beginning."""
        for record in self._jobs.queue():
            if not record.clean or self._must_wait(record.id):
                continue
            try:
                await asyncio.to_thread(remove_earlier, record)
            except OSError as error:
                if self._still_queued(record.id):
                    self._put_off_or_fail(record.id, error)
                continue
            self._postponed.done(record.id)
            if self._still_queued(record.id):
                self._update(msgspec.structs.replace(self._jobs[record.id], clean=False))

    def _start_queued(self) -> None:
        """Queue the jobs that shall go on by themselves, then start the next job of every free device."""
        with self._surviving("queue"):
            self._auto_resume.start_due()
            settle_dependencies(self._jobs)
        held = {record.device for record in self._jobs.records() if record.job.holds_device}
        for record in self._jobs.queue():
            if record.device in held or record.clean or record.job.after is not None or self._must_wait(record.id):
                continue
            held.add(record.device)
            with self._surviving(record.id):
                self._start(record)

    def _start(self, record: Record) -> None:
        # Recorded first: a supervisor that dies before the launch leaves a `starting` job without a trace.
        self._jobs.set_status(record.id, Status.STARTING)
        running = self.follow(record.id)
        try:
            running.started(launch(self._home, record.run, self._trainer))
        except StillAlive:
            log.warning("job %s lives already; it is followed", record.id)
        except OSError as error:
            running.could_not_start(error, record.job.queue_rank or 0)
            if is_shortage(error):
                self._put_off(record.id, error)
        else:
            self._postponed.done(record.id)

    def _must_wait(self, job_id: str) -> bool:
        return job_id in self._gone_since or self._postponed.waits(job_id)

    def _still_queued(self, job_id: str) -> bool:
        """Whether a job that was queued before an await is still queued: neither stopped nor deleted."""
        return job_id in self._jobs and self._jobs[job_id].job.status is Status.QUEUED

    def _put_off_or_fail(self, job_id: str, error: OSError) -> None:
        """What the earlier attempt wrote cannot be removed: the job waits where something has only run out."""
        if is_shortage(error):
            self._put_off(job_id, error)
            return
        failure = JobError(
            kind="supervisor",
            message=f"What its earlier attempt wrote cannot be removed: {error}.",
            suggestion="Repair what the message names, then retry it.",
        )
        self._update(with_status(self._jobs[job_id], Status.FAILED, failure))

    def _put_off(self, job_id: str, error: OSError) -> None:
        delay = self._postponed.put_off(job_id, str(error))
        log.warning("job %s: %s; tried again after %g s", job_id, error, delay)

    def _update(self, record: Record) -> None:
        """Record a change of a job; where the store has no room, the next round tries again."""
        with self._surviving(record.id):
            self._jobs.update([record])

    @contextlib.contextmanager
    def _surviving(self, job_id: str) -> Iterator[None]:
        """Log an error, once, and go on: nothing that one job or a disk does may end the service or stop the other jobs.

        Without room, or while a directory cannot be read, the next round tries again. Other errors have a traceback.
        """
        try:
            yield
        except Exception as error:
            expected = isinstance(error, (HomeError, OSError))
            message = str(error) if expected else repr(error)
            if self._logged.get(job_id) != message:
                self._logged[job_id] = message
                log.error("job %s: %s", job_id, message, exc_info=not expected)
