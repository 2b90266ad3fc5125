"""The queue at work: one running job on each device, the rest in the queue's order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import JobError, Status
from saetui.launch.local import StillAlive, launch
from saetui.launch.shortage import Waiting, is_shortage
from saetui.supervisor.attempts import clear, run_of
from saetui.supervisor.auto_resume import Revival
from saetui.supervisor.dependencies import settle
from saetui.supervisor.jobs import Board, moved
from saetui.supervisor.outcome import directory_gone
from saetui.supervisor.record import Record
from saetui.supervisor.running_job import LiveJob

LOOK_SECONDS = 1.0
"""How often a live job's directory is read when nothing hints at news."""

PATIENT_LOOKS = 2
"""For how many looks a job's directory may be away."""

SETTLE_SECONDS = 0.1
"""Hints that come closer together than this are answered by one look."""

log = logging.getLogger(__name__)


class Workforce:
    """Starts queued jobs, follows live ones, stops those that shall end."""

    def __init__(
        self,
        home: Home,
        board: Board,
        revival: Revival,
        trainer: Sequence[str],
        look_seconds: float = LOOK_SECONDS,
        is_ours: Callable[[], bool] = lambda: True,
        take_in: Callable[[], bool] = lambda: True,
    ) -> None:
        """What it works with.

        Args:
            home: what is served.
            board: its jobs.
            revival: starts jobs again by themselves.
            trainer: the command of a trainer.
            look_seconds: how often live jobs are looked at.
            is_ours: whether the home is still where it was: when it is not, no job has vanished, the home has.
            take_in: goes on with what could not be taken in at the start; whether all is. Until then nothing is started.
        """
        self._home = home
        self._board = board
        self._revival = revival
        self._trainer = tuple(trainer)
        self._look_seconds = look_seconds
        self._patience = PATIENT_LOOKS * look_seconds
        self._is_ours = is_ours
        self._take_in = take_in
        self._waiting = Waiting()
        self._gone_since: dict[str, float] = {}
        self._live: dict[str, LiveJob] = {}
        self._hint = asyncio.Event()
        self._said: dict[str, str] = {}

    def hint(self) -> None:
        """There may be news: look soon instead of at the next tick."""
        self._hint.set()

    def adopt(self, record: Record) -> None:
        """Follow a job that was started by an earlier supervisor (or that ended while there was none)."""
        self._live[record.id] = self._follow(record.id)
        self.hint()

    def live(self, job_id: str) -> LiveJob:
        """The job's processes; it must hold its device."""
        return self._live[job_id]

    async def work(self) -> None:
        """Look and start, for ever."""
        while True:
            try:
                await self._work_once()
            except Exception as error:
                # Nothing that a job or a disk does may end the service.
                self._say_once("queue", repr(error), trace=True)
            try:
                await asyncio.wait_for(self._hint.wait(), self._look_seconds)
                await asyncio.sleep(SETTLE_SECONDS)
            except asyncio.TimeoutError:
                pass
            self._hint.clear()

    async def _work_once(self) -> None:
        if not self._is_ours():
            return
        self.look()
        self._see_vanished()
        await self.clear_tries()
        if self._take_in():
            self.start_queued()
        self._show_waits()

    def look(self) -> None:
        """Read what is new of every live job, and record those that have ended."""
        for job_id, live in list(self._live.items()):
            try:
                ended = live.look()
            except (HomeError, OSError) as error:
                # No room, or a directory that cannot be read now: the job itself does not depend on it. Look again.
                self._say_once(job_id, str(error))
                continue
            except Exception as error:
                # What is wrong with one job must not end the service of the others.
                self._say_once(job_id, repr(error), trace=True)
                continue
            self._said.pop(job_id, None)
            if ended:
                live.close()
                del self._live[job_id]

    async def clear_tries(self) -> None:
        """Remove what earlier tries of jobs wrote that shall start from the beginning."""
        for record in self._board.queue():
            if not record.clean or record.id in self._gone_since or self._waiting.waits(record.id):
                continue
            try:
                await asyncio.to_thread(clear, record)
            except OSError as error:
                if self._still_waits(record.id):
                    self._put_off_or_fail(record.id, error)
                continue
            self._waiting.done(record.id)
            if self._still_waits(record.id):
                self._write(msgspec.structs.replace(self._board[record.id], clean=False))

    def start_queued(self) -> None:
        """Queue what shall go on by itself, then start the next job of every device that is free."""
        try:
            self._revival.start_due()
            settle(self._board)
        except HomeError as error:
            self._say_once("queue", str(error))
        held = {record.device for record in self._board.records() if record.job.holds_device}
        for record in self._board.queue():
            if record.device in held or record.clean or record.job.after is not None:
                continue
            if record.id in self._gone_since or self._waiting.waits(record.id):
                continue
            held.add(record.device)
            try:
                self._start(record)
            except HomeError as error:
                self._say_once(record.id, str(error))
            except Exception as error:
                self._say_once(record.id, repr(error), trace=True)

    def close(self) -> None:
        """Follow nobody any more; every process goes on."""
        for live in self._live.values():
            live.close()
        self._live.clear()

    def _start(self, record: Record) -> None:
        # Recorded before it is done: a supervisor that dies in between finds a `starting` job without a trace.
        self._board.move(record.id, Status.STARTING)
        live = self._follow(record.id)
        self._live[record.id] = live
        try:
            live.owns(launch(self._home, run_of(record), self._trainer))
        except StillAlive:
            log.warning("job %s lives already; it is adopted", record.id)
        except OSError as error:
            live.could_not_start(error, record.job.queue_rank or 0)
            if is_shortage(error):
                self._put_off(record.id, error)
            self.hint()
        else:
            self._waiting.done(record.id)

    def _follow(self, job_id: str) -> LiveJob:
        return LiveJob(self._home, self._board, self._revival, job_id, self.hint, self._patience)

    def _see_vanished(self) -> None:
        """Fail the jobs without a process whose directory has been away for longer than a moment."""
        now = time.monotonic()
        for record in self._board.records():
            waits = record.job.status is Status.QUEUED or (record.job.status is Status.PAUSED and record.job.unloaded)
            run = run_of(record)
            if not waits or run.path.is_dir():
                self._gone_since.pop(record.id, None)
            elif now >= self._gone_since.setdefault(record.id, now) + self._patience:
                self._write(moved(record, Status.FAILED, directory_gone(run.path)))
        for job_id in [job_id for job_id in self._gone_since if job_id not in self._board]:
            del self._gone_since[job_id]

    def _show_waits(self) -> None:
        """Show what the jobs of the queue wait for beside their turn."""
        for record in self._board.queue():
            self._board.show_progress(msgspec.structs.replace(record.job, degraded=self._waiting.word(record.id)))

    def _put_off_or_fail(self, job_id: str, error: OSError) -> None:
        """What its earlier try wrote cannot be removed: the job waits where room is all that is missing."""
        if is_shortage(error):
            self._put_off(job_id, error)
            return
        failure = JobError(
            kind="supervisor",
            message=f"What its earlier try wrote cannot be removed: {error}.",
            suggestion="Mend what the message names, then retry it.",
        )
        self._write(moved(self._board[job_id], Status.FAILED, failure))

    def _put_off(self, job_id: str, error: OSError) -> None:
        delay = self._waiting.put_off(job_id, str(error))
        log.warning("job %s: %s; tried again after %g s", job_id, error, delay)

    def _write(self, record: Record) -> None:
        """Record a change of a job; where the store has no room the same is tried again by a later look."""
        try:
            self._board.write([record])
        except HomeError as error:
            self._say_once(record.id, str(error))

    def _still_waits(self, job_id: str) -> bool:
        """Whether a job that was queued before something took its time is so still: not stopped, not deleted."""
        return job_id in self._board and self._board[job_id].job.status is Status.QUEUED

    def _say_once(self, job_id: str, message: str, *, trace: bool = False) -> None:
        if self._said.get(job_id) != message:
            self._said[job_id] = message
            log.error("job %s: %s", job_id, message, exc_info=trace)
