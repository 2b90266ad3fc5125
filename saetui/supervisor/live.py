"""One job whose processes live: watched, signalled, its progress read, and its end noticed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable

import msgspec

from saetui.errors import Conflict, FormatError
from saetui.jobs.job import Status, Wish
from saetui.rundir.control import Control, read_control, write_control
from saetui.supervisor.board import Board, moved, queued
from saetui.supervisor.identity import (
    Identities,
    is_deaf_to,
    open_process,
    read_identities,
    send_if_caught,
    send_signal,
)
from saetui.supervisor.locks import is_held
from saetui.supervisor.outcome import judge
from saetui.supervisor.progress import Progress
from saetui.supervisor.record import Record
from saetui.supervisor.revival import Revival
from saetui.supervisor.tries import forget_end, never_started, run_of, wish

log = logging.getLogger(__name__)

WAKE = signal.SIGUSR1
"""Tells a trainer to read its control file."""


class LiveJob:
    """Follows one job from its start (or its adoption) to its recorded end.

    Whether it lives is said by the lock of its directory alone; the pidfds of runner and trainer only say when to look.
    """

    def __init__(self, board: Board, revival: Revival, job_id: str, wake: Callable[[], None]) -> None:
        """`wake` is called from the event loop when a process of the job has ended."""
        self._board = board
        self._revival = revival
        self._id = job_id
        self._wake = wake
        self._run = run_of(board[job_id])
        self._progress = Progress(self._run, board[job_id].events_from)
        self._who: Identities | None = None
        self._descriptors: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._stop_sent = False
        self._told: Wish | None = None

    @property
    def _record(self) -> Record:
        return self._board[self._id]

    def owns(self, child: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._child = child

    def look(self) -> bool:
        """Read what is new; whether the job has ended (and its end is recorded).

        Raises:
            HomeError: the store cannot be written; look again later.
            OSError: the same for the job's own directory.
        """
        # Asked first: what is read after the lock was seen free is the whole story.
        alive = is_held(self._run.lock)
        self._attach()
        self._board.show_progress(self._progress.read(self._record.job))
        self._follow_state()
        if not alive:
            self._end()
            return True
        if self._record.job.status is Status.STOPPING:
            if not self._stop_sent:
                self.ask_to_stop()
        else:
            self.tell_wish()
        return False

    def ask_to_stop(self) -> None:
        """SIGTERM to the trainer: it finishes its step, saves and exports. Sent later when it is not there yet."""
        if self._who is not None:
            self._stop_sent = send_signal(self._who.trainer, signal.SIGTERM)

    def tell_wish(self) -> None:
        """Bring the recorded wish to the trainer. Told later when that is not known yet.

        Raises:
            OSError: the control file cannot be written; the next look tries again.
        """
        wanted = self._record.job.wish
        if self._told is wanted:
            return
        wish(self._run, wanted)
        self._attach()
        if self._who is not None:
            # A trainer that does not catch the signal yet has still to read the file for the first time.
            send_if_caught(self._who.trainer, WAKE)
            self._told = wanted

    def ask_for_checkpoint(self) -> None:
        """Have the trainer save after its present step.

        Raises:
            OSError: the control file cannot be written; nothing was asked.
        """
        try:
            control = read_control(self._run)
        except FormatError:
            control = Control(wish=self._record.job.wish)
        write_control(self._run, msgspec.structs.replace(control, checkpoints=control.checkpoints + 1))
        self.wake_trainer()

    def wake_trainer(self) -> None:
        """Have the trainer read its control file, when it is there and listens; otherwise it reads it as it starts."""
        self._attach()
        if self._who is not None:
            send_if_caught(self._who.trainer, WAKE)

    def see_that_it_listens(self) -> None:
        """See that a running trainer knows wishes.

        Raises:
            Conflict: it was started by a saetui that did not.
        """
        self._attach()
        job = self._record.job
        if self._who is not None and job.status is Status.RUNNING and is_deaf_to(self._who.trainer, WAKE):
            raise Conflict(
                f"{job.name} ({job.state}) was started by an older saetui, and its trainer knows nothing but to stop.",
                "Stop it, then resume it: it goes on from there with this one.",
            )

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        for descriptor in self._descriptors:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors.clear()

    def _follow_state(self) -> None:
        """The state as the trainer's events have it."""
        status = self._record.job.status
        if status is Status.STARTING and self._progress.started:
            status = self._board.move(self._id, Status.RUNNING).status
        if self._progress.paused and status in (Status.STARTING, Status.RUNNING):
            self._board.move(self._id, Status.PAUSED)
        elif status is Status.PAUSED and not self._progress.paused and self._progress.ended is None:
            self._board.move(self._id, Status.RUNNING)

    def _end(self) -> None:
        if self._child is not None:
            self._child.wait()
        record = self._record
        job = record.job
        nothing_started = self._child is None and never_started(self._run, record.events_from)
        if job.status is Status.STARTING and nothing_started and job.wish is Wish.RUN:
            again = queued(record, self._board.last_rank() + 1, resumes=job.resumes)
            self._board.write([again])
            return
        outcome = judge(job, self._run, self._progress.ended, record.events_from)
        if outcome.status is not Status.PAUSED and not (nothing_started and job.status is Status.STARTING):
            self._board.write([self._revival.ended(record, outcome)])
        elif job.wish is Wish.RUN:
            # The pause was taken back while it was already freeing its memory.
            self._board.write([queued(forget_end(record), self._board.last_rank() + 1)])
        else:
            self._board.write([moved(forget_end(record), Status.PAUSED, released=True)])

    def _attach(self) -> None:
        """Watch runner and trainer as soon as it is known who they are."""
        if self._who is not None:
            return
        self._who = read_identities(self._run.identity)
        if self._who is None:
            return
        for who in (self._who.runner, self._who.trainer):
            descriptor = open_process(who)
            if descriptor is not None:
                self._descriptors.append(descriptor)
                asyncio.get_running_loop().add_reader(descriptor, self._process_ended, descriptor)

    def _process_ended(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        self._descriptors.remove(descriptor)
        os.close(descriptor)
        self._wake()
