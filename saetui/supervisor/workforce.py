"""The queue at work: one running job on each device, the rest in the order in which they were created."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import JobError, Status
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.board import Board
from saetui.supervisor.launching import StillAlive, launch
from saetui.supervisor.live import LiveJob
from saetui.supervisor.record import Record

LOOK_SECONDS = 1.0
"""How often a live job's directory is read when nothing hints at news."""

SETTLE_SECONDS = 0.1
"""Hints that come closer together than this are answered by one look."""

log = logging.getLogger(__name__)


class Workforce:
    """Starts queued jobs, follows live ones, stops those that shall end."""

    def __init__(self, home: Home, board: Board, trainer: Sequence[str], look_seconds: float = LOOK_SECONDS) -> None:
        self._home = home
        self._board = board
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
        self._live[record.id] = LiveJob(self._board, record.id, self.hint)
        self.hint()

    def stop(self, records: Sequence[Record]) -> None:
        """Record the wish that jobs end, then tell their trainers. Queued ones end at once.

        Raises:
            HomeError: the store cannot be written; those not yet recorded go on.
        """
        for record in records:
            if record.job.status is Status.QUEUED:
                self._board.move(record.id, Status.STOPPED)
                continue
            if record.job.status is not Status.STOPPING:
                self._board.move(record.id, Status.STOPPING)
            self._live[record.id].ask_to_stop()

    async def work(self) -> None:
        """Look and start, for ever."""
        while True:
            self.look()
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

    def start_queued(self) -> None:
        """Start the next job of every device that is free."""
        held = {record.device for record in self._board.records() if record.job.status.holds_device}
        for record in self._board.records():
            if record.job.status is Status.QUEUED and record.device not in held:
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
        live = LiveJob(self._board, record.id, self.hint)
        self._live[record.id] = live
        try:
            live.owns(launch(self._home, RunDirectory(Path(record.job.directory)), self._trainer))
        except StillAlive:
            log.warning("job %s lives already; it is adopted", record.id)
        except OSError as error:
            failure = JobError(
                kind="supervisor",
                message=f"Its processes could not be started: {error}.",
                suggestion="Set right what it says, then start it again.",
            )
            self._board.move(record.id, Status.FAILED, failure)
            del self._live[record.id]

    def _say_once(self, job_id: str, message: str, *, trace: bool = False) -> None:
        if self._said.get(job_id) != message:
            self._said[job_id] = message
            log.error("job %s: %s", job_id, message, exc_info=trace)
