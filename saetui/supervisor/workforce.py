"""The queue at work: one running job on each device, the rest in the queue's order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import JobError, Status
from saetui.supervisor.board import Board, moved
from saetui.supervisor.dependencies import settle
from saetui.supervisor.launching import StillAlive, launch
from saetui.supervisor.live import LiveJob
from saetui.supervisor.record import Record
from saetui.supervisor.revival import Revival
from saetui.supervisor.tries import clear, run_of

LOOK_SECONDS = 1.0
"""How often a live job's directory is read when nothing hints at news."""

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
    ) -> None:
        self._home = home
        self._board = board
        self._revival = revival
        self._trainer = tuple(trainer)
        self._look_seconds = look_seconds
        self._live: dict[str, LiveJob] = {}
        self._hint = asyncio.Event()
        self._said: dict[str, str] = {}

    def hint(self) -> None:
        """There may be news: look soon instead of at the next tick."""
        self._hint.set()

    def adopt(self, record: Record) -> None:
        """Follow a job that was started by an earlier supervisor (or that ended while there was none)."""
        self._live[record.id] = LiveJob(self._board, self._revival, record.id, self.hint)
        self.hint()

    def live(self, job_id: str) -> LiveJob:
        """The job's processes; it must hold its device."""
        return self._live[job_id]

    async def work(self) -> None:
        """Look and start, for ever."""
        while True:
            self.look()
            await self.clear_tries()
            self.start_queued()
            try:
                await asyncio.wait_for(self._hint.wait(), self._look_seconds)
                await asyncio.sleep(SETTLE_SECONDS)
            except asyncio.TimeoutError:
                pass
            self._hint.clear()

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
            if not record.clean:
                continue
            try:
                await asyncio.to_thread(clear, record)
                if self._still_waits(record.id):
                    self._board.write([msgspec.structs.replace(self._board[record.id], clean=False)])
            except HomeError as error:
                self._say_once(record.id, str(error))
            except OSError as error:
                if self._still_waits(record.id):
                    self._fail(record.id, f"What its earlier try wrote cannot be removed: {error}.")

    def start_queued(self) -> None:
        """Queue what shall go on by itself, then start the next job of every device that is free."""
        try:
            self._revival.start_due()
            settle(self._board)
        except (HomeError, OSError) as error:
            self._say_once("queue", str(error))
        held = {record.device for record in self._board.records() if record.job.holds_device}
        for record in self._board.queue():
            if record.device in held or record.clean or record.job.after is not None:
                continue
            held.add(record.device)
            try:
                self._start(record)
            except HomeError as error:
                self._say_once(record.id, str(error))

    def close(self) -> None:
        """Follow nobody any more; every process goes on."""
        for live in self._live.values():
            live.close()
        self._live.clear()

    def _start(self, record: Record) -> None:
        # Recorded before it is done: a supervisor that dies in between finds a `starting` job without a trace.
        self._board.move(record.id, Status.STARTING)
        live = LiveJob(self._board, self._revival, record.id, self.hint)
        self._live[record.id] = live
        try:
            live.owns(launch(self._home, run_of(record), self._trainer))
        except StillAlive:
            log.warning("job %s lives already; it is adopted", record.id)
        except OSError as error:
            del self._live[record.id]
            self._fail(record.id, f"Its processes could not be started: {error}.")

    def _still_waits(self, job_id: str) -> bool:
        """Whether a job that was queued before something took its time is so still: not stopped, not deleted."""
        return job_id in self._board and self._board[job_id].job.status is Status.QUEUED

    def _fail(self, job_id: str, message: str) -> None:
        failure = JobError(kind="supervisor", message=message, suggestion="Set right what it says, then resume it.")
        self._board.write([moved(self._board[job_id], Status.FAILED, failure)])

    def _say_once(self, job_id: str, message: str, *, trace: bool = False) -> None:
        if self._said.get(job_id) != message:
            self._said[job_id] = message
            log.error("job %s: %s", job_id, message, exc_info=trace)
