"""One job whose processes live: watched, signalled, its progress read, and its end noticed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from saetui.jobs.job import Status
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.board import Board
from saetui.supervisor.identity import Identities, open_process, read_identities, send_signal
from saetui.supervisor.locks import is_held
from saetui.supervisor.outcome import judge, never_started
from saetui.supervisor.progress import Progress

log = logging.getLogger(__name__)


class LiveJob:
    """Follows one job from its start (or its adoption) to its recorded end.

    Whether it lives is said by the lock of its directory alone; the pidfds of runner and trainer only say when to look.
    """

    def __init__(self, board: Board, job_id: str, wake: Callable[[], None]) -> None:
        """`wake` is called from the event loop when a process of the job has ended."""
        self._board = board
        self._id = job_id
        self._wake = wake
        self._run = RunDirectory(Path(board[job_id].job.directory))
        self._progress = Progress(self._run)
        self._who: Identities | None = None
        self._descriptors: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._stop_sent = False

    def owns(self, child: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._child = child

    def look(self) -> bool:
        """Read what is new; whether the job has ended (and its end is recorded).

        Raises:
            HomeError: the store cannot be written; look again later.
        """
        # Asked first: what is read after the lock was seen free is the whole story.
        alive = is_held(self._run.lock)
        self._attach()
        job = self._progress.read(self._board[self._id].job)
        self._board.show_progress(job)
        if job.status is Status.STARTING and self._progress.started:
            job = self._board.move(self._id, Status.RUNNING)
        if alive:
            if job.status is Status.STOPPING and not self._stop_sent:
                self.ask_to_stop()
            return False
        if self._child is not None:
            self._child.wait()
        if job.status is Status.STARTING and self._child is None and never_started(self._run):
            self._board.move(self._id, Status.QUEUED)
        else:
            outcome = judge(job, self._run, self._progress.ended)
            self._board.move(self._id, outcome.status, outcome.error)
        return True

    def ask_to_stop(self) -> None:
        """SIGTERM to the trainer: it finishes its step, saves and exports. Sent later when it is not there yet."""
        if self._who is not None:
            self._stop_sent = send_signal(self._who.trainer, signal.SIGTERM)

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        for descriptor in self._descriptors:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
        self._descriptors.clear()

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
