"""What is done to jobs that are there: pause, resume, checkpoint, stop, retry, move, delete.

Each takes several jobs, and refuses all when one of them cannot: first everything is checked, then it is recorded in one
step, then the trainers are told. What was recorded and not told yet is told by the next look, or the next supervisor.
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
from saetui.supervisor.attempts import forget_end, run_of
from saetui.supervisor.auto_resume import waits_for_revival, without_revival
from saetui.supervisor.jobs import Board, moved, queued
from saetui.supervisor.order import placed
from saetui.supervisor.outcome import directory_gone
from saetui.supervisor.record import Record
from saetui.supervisor.removal import hide_all, remove_for_good, show_again
from saetui.supervisor.scheduler import Workforce

log = logging.getLogger(__name__)


class Verbs:
    """Every method takes jobs by id, prefix or name, and returns them as they are then.

    Raises (every method): NotFound or InvalidInput: a job is not named well. Conflict: one of them is in a state in which
    this cannot be done. HomeError: the store or a job's directory cannot be written.
    """

    def __init__(self, home: Home, board: Board, workforce: Workforce) -> None:
        self._home = home
        self._board = board
        self._workforce = workforce

    def stop(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Stop jobs; one that ended and waits to be started again by itself stays as it ended."""
        records = self._board.find_all(texts)
        require_possible(JobCommand.STOP, [record.job for record in records if not waits_for_revival(record)])
        self._board.write([_stopped(record) for record in records if record.job.status is not Status.STOPPING])
        self._each_live(records, lambda job_id: self._workforce.live(job_id).ask_to_stop())
        return self._now(records)

    def pause(self, texts: Sequence[str], *, unload: bool) -> tuple[Job, ...]:
        """Hold jobs; queued ones leave the queue. `unload`: and free the memory of those that run."""
        records = self._chosen(JobCommand.UNLOAD if unload else JobCommand.PAUSE, texts)
        self._see_that_they_listen(records)
        wanted = DesiredState.UNLOAD if unload else DesiredState.PAUSE
        self._board.write([_paused(record, wanted) for record in records])
        self._each_live(records, lambda job_id: self._workforce.live(job_id).tell_wish())
        return self._now(records)

    def resume(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Let jobs that hold go on at once, and those without a process through the queue, from their checkpoint."""
        records = self._chosen(JobCommand.RESUME, texts)
        self._see_that_none_lives(records)
        rank = self._board.last_rank()
        changed = []
        for record in records:
            if record.job.holds_device:
                changed.append(_wishing(record, DesiredState.RUN))
            else:
                rank += 1
                changed.append(queued(self._ready(record), rank))
        self._board.write(changed)
        self._each_live(records, lambda job_id: self._workforce.live(job_id).tell_wish())
        return self._now(records)

    def checkpoint(self, texts: Sequence[str]) -> tuple[Job, ...]:
        records = self._chosen(JobCommand.CHECKPOINT, texts)
        self._see_that_they_listen(records)
        for record in records:
            try:
                self._workforce.live(record.id).ask_for_checkpoint()
            except OSError as error:
                raise _no_room(record, error) from error
        return self._now(records)

    def retry(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Queue jobs from the start. What they wrote is removed before they start; the wish is recorded first."""
        records = self._chosen(JobCommand.RETRY, texts)
        self._see_that_none_lives(records)
        for record in records:
            _see_its_directory(record)
        rank = self._board.last_rank()
        changed = []
        for number, record in enumerate(records, start=1):
            again = queued(record, rank + number)
            fresh = msgspec.structs.replace(again.job, step=0, progress=0.0, metrics={}, started_at=None)
            changed.append(msgspec.structs.replace(again, job=fresh, clean=True, events_from=0))
        self._board.write(changed)
        self._workforce.hint()
        return self._now(records)

    def move(self, texts: Sequence[str], to: Place) -> tuple[Job, ...]:
        """Give queued jobs another place; the whole queue in its order."""
        records = self._chosen(JobCommand.MOVE, texts)
        order = placed([record.id for record in self._board.queue()], [record.id for record in records], to)
        changed = []
        for rank, job_id in enumerate(order, start=1):
            record = self._board[job_id]
            if record.job.queue_rank != rank:
                changed.append(
                    msgspec.structs.replace(record, job=msgspec.structs.replace(record.job, queue_rank=rank))
                )
        self._board.write(changed)
        self._workforce.hint()
        return tuple(record.job for record in self._board.queue())

    async def delete(self, texts: Sequence[str]) -> tuple[Job, ...]:
        """Forget jobs and remove their directories. Hidden first, forgotten then: what cannot be hidden is not forgotten."""
        records = self._chosen(JobCommand.DELETE, texts)
        self._see_that_none_lives(records)
        hidden = hide_all(records)
        try:
            self._board.remove(*(record.id for record in records))
        except HomeError:
            show_again(hidden)
            raise
        left = [word for pair in hidden if (word := await asyncio.to_thread(remove_for_good, *pair)) is not None]
        if left:
            raise HomeError(
                f"Deleted, but not everything on the disk: {' '.join(left)}", "Remove what is left yourself."
            )
        return tuple(record.job for record in records)

    async def keep_checkpoints(self, request: KeepCheckpoints) -> tuple[Job, ...]:
        """Change which checkpoints of a job stay. Recorded in its directory first, then what is superfluous goes."""
        record = self._board.find(request.job)
        run = run_of(record)
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
                self._workforce.live(record.id).wake_trainer()
            else:
                for checkpoint in superfluous(list_checkpoints(run.checkpoints), rules):
                    await asyncio.to_thread(delete_unless_read, checkpoint.path)
        except OSError as error:
            raise _no_room(record, error) from error
        return (record.job,)

    def _chosen(self, verb: JobCommand, texts: Sequence[str]) -> list[Record]:
        records = self._board.find_all(texts)
        require_possible(verb, [record.job for record in records])
        return records

    def _see_that_they_listen(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.job.holds_device:
                self._workforce.live(record.id).require_listening()

    def _see_that_none_lives(self, records: Sequence[Record]) -> None:
        """See that no process of a job lives which is thought to have none.

        Raises:
            Conflict: one does.
        """
        without = [record for record in records if not record.job.holds_device]
        found = find_living(self._home, [record.id for record in without])
        for record in without:
            living = found.get(record.id)
            if living:
                raise Conflict(
                    f"{record.job.name} ({record.job.state}): a process of it lives still (pid {living[0].pid}).",
                    f"Wait for its end, or end it: kill {' '.join(str(who.pid) for who in living)}",
                )

    def _ready(self, record: Record) -> Record:
        _see_its_directory(record)
        try:
            return forget_end(record)
        except OSError as error:
            raise _no_room(record, error) from error

    def _each_live(self, records: Sequence[Record], tell: Callable[[str], None]) -> None:
        """Tell the trainers of those that have one; what cannot be told now is told by a later look."""
        for record in records:
            if self._board[record.id].job.holds_device:
                try:
                    tell(record.id)
                except OSError as error:
                    log.error("job %s: %s", record.id, error)
        self._workforce.hint()

    def _now(self, records: Sequence[Record]) -> tuple[Job, ...]:
        return tuple(self._board[record.id].job for record in records)


def _stopped(record: Record) -> Record:
    if waits_for_revival(record):
        return without_revival(record)
    return moved(record, Status.STOPPING if record.job.holds_device else Status.STOPPED)


def _paused(record: Record, wanted: DesiredState) -> Record:
    if record.job.status is Status.QUEUED:
        return moved(record, Status.PAUSED, unloaded=True)
    return _wishing(record, wanted)


def _wishing(record: Record, wanted: DesiredState) -> Record:
    return msgspec.structs.replace(record, job=msgspec.structs.replace(record.job, desired_state=wanted))


def _no_room(record: Record, error: OSError) -> HomeError:
    return HomeError(
        f"{record.job.name} ({record.job.state}): its directory {record.job.directory} cannot be written: "
        f"{error.strerror or error}.",
        "Make room or give this user the right to write there, then try again.",
    )


def _see_its_directory(record: Record) -> None:
    run = run_of(record)
    if not run.path.is_dir():
        gone = directory_gone(run.path)
        raise HomeError(f"{record.job.name} ({record.job.state}): {gone.message}", gone.suggestion)
