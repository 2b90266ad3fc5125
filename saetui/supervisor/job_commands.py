"""What is done to jobs that exist: pause, resume, checkpoint, stop, retry, move, delete.

Each command takes several jobs, and refuses all when one of them is in a wrong state. Everything is checked first, then
recorded in one step, then sent to the trainers. What was recorded and could not be sent is sent by the scheduler's next
round, or by the next supervisor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from saetui.errors import Conflict, HomeError
from saetui.home import Home
from saetui.jobs.commands import JobCommand, require_possible
from saetui.jobs.job import DesiredState, Job, Status
from saetui.launch.presence import find_living
from saetui.protocol.messages import KeepCheckpoints, Place
from saetui.rundir.checkpoints import delete_unless_read, list_checkpoints
from saetui.rundir.control import read_control, write_control
from saetui.rundir.retention import spec_rules, superfluous
from saetui.supervisor.attempts import forget_end
from saetui.supervisor.auto_resume import waits_for_auto_resume, without_auto_resume
from saetui.supervisor.jobs import Jobs, queued, with_status
from saetui.supervisor.outcome import directory_gone
from saetui.supervisor.queue import placed
from saetui.supervisor.record import Record
from saetui.supervisor.removal import hide_all, remove_for_good, show_again
from saetui.supervisor.running_job import RunningJob
from saetui.supervisor.scheduler import Scheduler

log = logging.getLogger(__name__)


class JobCommands:
    """Every method takes jobs by id, prefix or name, and returns them as they are then.

    Raises (every method): NotFound or InvalidInput: no job, or several, are meant. Conflict: one of them is in a state in
    which this cannot be done. HomeError: the store or a job's directory cannot be written.
    """

    def __init__(self, home: Home, jobs: Jobs, scheduler: Scheduler) -> None:
        self._home = home
        self._jobs = jobs
        self._scheduler = scheduler

    def stop(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Stop jobs. One that has ended, and waits to be started again by itself, stays as it ended."""
        records = self._jobs.find_all(texts)
        require_possible(JobCommand.STOP, [record.job for record in records if not waits_for_auto_resume(record)])
        self._jobs.update([_stopped(record) for record in records if record.job.status is not Status.STOPPING])
        return self._send(records, RunningJob.send_stop)

    def pause(self, texts: Sequence[str], *, unload: bool) -> tuple[Job, ...]:
        """Hold jobs; queued ones leave the queue. `unload`: also free the memory of those that run."""
        records = self._possible(JobCommand.UNLOAD if unload else JobCommand.PAUSE, texts)
        self._require_control(records)
        wanted = DesiredState.UNLOAD if unload else DesiredState.PAUSE
        self._jobs.update([_paused(record, wanted) for record in records])
        return self._send(records, RunningJob.send_desired_state)

    def resume(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Let paused jobs go on at once. Those without a process go through the queue, and on from their checkpoint."""
        records = self._possible(JobCommand.RESUME, texts)
        self._require_no_process(records)
        rank = self._jobs.last_rank()
        changed = []
        for record in records:
            if record.job.holds_device:
                changed.append(record.with_job(desired_state=DesiredState.RUN))
                continue
            rank += 1
            _require_directory(record)
            try:
                changed.append(queued(forget_end(record), rank))
            except OSError as error:
                raise _not_writable(record, error) from error
        self._jobs.update(changed)
        return self._send(records, RunningJob.send_desired_state)

    def checkpoint(self, texts: Sequence[str]) -> tuple[Job, ...]:
        records = self._possible(JobCommand.CHECKPOINT, texts)
        self._require_control(records)
        for record in records:
            try:
                self._scheduler.running(record.id).ask_for_checkpoint()
            except OSError as error:
                raise _not_writable(record, error) from error
        return self._current(records)

    def retry(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Queue jobs from the start. This is recorded first; what they wrote is removed before they start."""
        records = self._possible(JobCommand.RETRY, texts)
        self._require_no_process(records)
        for record in records:
            _require_directory(record)
        changed = []
        for rank, record in enumerate(records, start=self._jobs.last_rank() + 1):
            again = queued(record, rank).with_job(step=0, progress=0.0, metrics={}, started_at=None)
            changed.append(msgspec.structs.replace(again, clean=True, events_from=0))
        self._jobs.update(changed)
        self._scheduler.wake()
        return self._current(records)

    def move(self, texts: Sequence[str], to: Place) -> tuple[Job, ...]:
        """Give queued jobs another place. Returns the whole queue in its order."""
        records = self._possible(JobCommand.MOVE, texts)
        order = placed([record.id for record in self._jobs.queue()], [record.id for record in records], to)
        ranked = [(rank, self._jobs[job_id]) for rank, job_id in enumerate(order, start=1)]
        self._jobs.update(
            [record.with_job(queue_rank=rank) for rank, record in ranked if record.job.queue_rank != rank]
        )
        self._scheduler.wake()
        return tuple(record.job for record in self._jobs.queue())

    async def delete(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Forget jobs and remove their directories. Hidden first: a job whose directory cannot be hidden is not forgotten."""
        records = self._possible(JobCommand.DELETE, texts)
        self._require_no_process(records)
        hidden = hide_all(records)
        try:
            self._jobs.remove(*(record.id for record in records))
        except HomeError:
            show_again(hidden)
            raise
        left = [text for one in hidden if (text := await asyncio.to_thread(remove_for_good, *one)) is not None]
        if left:
            raise HomeError(f"Deleted, but not everything on the disk: {' '.join(left)}", "Remove the rest yourself.")
        return tuple(record.job for record in records)

    async def keep_checkpoints(self, request: KeepCheckpoints) -> tuple[Job, ...]:
        """Change which checkpoints of a job stay. Recorded in its directory first, then the superfluous ones are removed."""
        record = self._jobs.find(request.job)
        run = record.run
        try:
            before = read_control(run)
            rules = msgspec.structs.replace(
                before.retention or spec_rules(run.read_spec()),
                keep_first=request.keep_first,
                keep_last=request.keep_last,
                keep_every=request.keep_every,
                keep_best=request.keep_best,
            )
            write_control(run, msgspec.structs.replace(before, retention=rules))
            if record.job.holds_device:
                self._scheduler.running(record.id).wake_trainer()
            else:
                for checkpoint in superfluous(list_checkpoints(run.checkpoints), rules):
                    await asyncio.to_thread(delete_unless_read, checkpoint.path)
        except OSError as error:
            raise _not_writable(record, error) from error
        return (record.job,)

    def _possible(self, command: JobCommand, texts: Sequence[str]) -> list[Record]:
        records = self._jobs.find_all(texts)
        require_possible(command, [record.job for record in records])
        return records

    def _require_control(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.job.holds_device:
                self._scheduler.running(record.id).require_control()

    def _require_no_process(self, records: Sequence[Record]) -> None:
        """Refuse, as a Conflict, jobs that are recorded without a process and have one."""
        without = [record for record in records if not record.job.holds_device]
        found = find_living(self._home, [record.id for record in without])
        for record in without:
            living = found.get(record.id)
            if living:
                raise Conflict(
                    f"{record.job.name} ({record.job.state}): one of its processes still lives (pid {living[0].pid}).",
                    f"Wait for its end, or end it: kill {' '.join(str(who.pid) for who in living)}",
                )

    def _send(self, records: Sequence[Record], send: Callable[[RunningJob], None]) -> tuple[Job, ...]:
        """Send a command to the trainers of the jobs that have one; an error is logged, and the scheduler tries again."""
        for record in records:
            if self._jobs[record.id].job.holds_device:
                try:
                    send(self._scheduler.running(record.id))
                except OSError as error:
                    log.error("job %s: %s", record.id, error)
        self._scheduler.wake()
        return self._current(records)

    def _current(self, records: Sequence[Record]) -> tuple[Job, ...]:
        return tuple(self._jobs[record.id].job for record in records)


def _stopped(record: Record) -> Record:
    if waits_for_auto_resume(record):
        return without_auto_resume(record)
    return with_status(record, Status.STOPPING if record.job.holds_device else Status.STOPPED)


def _paused(record: Record, wanted: DesiredState) -> Record:
    if record.job.status is Status.QUEUED:
        return with_status(record, Status.PAUSED, unloaded=True)
    return record.with_job(desired_state=wanted)


def _not_writable(record: Record, error: OSError) -> HomeError:
    return HomeError(
        f"{record.job.name} ({record.job.state}): its directory {record.job.directory} cannot be written: "
        f"{error.strerror or error}.",
        "Free some space, or give this user the right to write there, then try again.",
    )


def _require_directory(record: Record) -> None:
    if not record.run.path.is_dir():
        gone = directory_gone(record.run.path)
        raise HomeError(f"{record.job.name} ({record.job.state}): {gone.message}", gone.suggestion)
