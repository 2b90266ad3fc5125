"""One job whose processes live: watched, signalled, its progress read, and its end noticed."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from saetui.errors import Conflict, FormatError
from saetui.home import Home
from saetui.jobs.job import DesiredState, Status
from saetui.launch.identity import is_deaf_to, send_if_caught, send_signal
from saetui.launch.presence import place_of
from saetui.launch.processes import PATIENCE, Processes
from saetui.launch.shortage import is_shortage
from saetui.rundir.control import Control, read_control, write_control
from saetui.supervisor.attempts import forget_end, never_started, run_of, wish
from saetui.supervisor.auto_resume import Revival
from saetui.supervisor.jobs import Board, moved, queued
from saetui.supervisor.outcome import cannot_start, directory_gone, judge
from saetui.supervisor.progress import Progress
from saetui.supervisor.record import Record

log = logging.getLogger(__name__)

WAKE = signal.SIGUSR1
"""Tells a trainer to read its control file."""

GONE = "The job's directory is gone: its training is being ended."


@dataclass(frozen=True)
class _Refused:
    """A start that failed."""

    error: OSError
    rank: int

    def record(self, record: Record) -> Record:
        """The job in the queue again, where room is all that is missing; failed, otherwise."""
        if is_shortage(self.error):
            return queued(record, self.rank, resumes=record.job.resumes)
        return moved(record, Status.FAILED, cannot_start(self.error))


class LiveJob:
    """Follows one job from its start (or its adoption) to its recorded end.

    It lives while the lock of its directory is held or a process of it lives: the file of the lock may be removed under
    its holder, and a process may not be known yet. Nothing here waits for a process.
    """

    def __init__(
        self,
        home: Home,
        board: Board,
        revival: Revival,
        job_id: str,
        wake: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        """`wake` is called from the event loop when a process of the job has ended; `patience` is in seconds."""
        self._patience = patience
        self._board = board
        self._revival = revival
        self._id = job_id
        self._run = run_of(board[job_id])
        self._place = place_of(self._run.path)
        self._gone_since: float | None = None
        self._refused: _Refused | None = None
        self._progress = Progress(self._run, board[job_id].events_from)
        self._processes = Processes(home, self._run, wake, patience)
        self._stop_sent = False
        self._told: DesiredState | None = None
        self._said = ""

    @property
    def _record(self) -> Record:
        return self._board[self._id]

    def owns(self, child: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._processes.owns(child)

    def could_not_start(self, error: OSError, rank: int) -> None:
        """No process could be started. The next look records that: the store may have no room now either.

        Args:
            error: why.
            rank: the job's place in the queue, to which it goes back where room is all that is missing.
        """
        self._refused = _Refused(error, rank)

    def look(self) -> bool:
        """Read what is new; whether the job has ended (and its end is recorded).

        Raises:
            HomeError: the store cannot be written; look again later.
            OSError: the same for the job's own directory.
        """
        self._processes.attach()
        # Asked first: what is read after it was seen not to live is the whole story.
        alive = self._processes.live()
        gone = self._seconds_gone()
        if gone is not None:
            return gone >= self._patience and self._end_without_directory(alive)
        if self._refused is not None and not alive:
            self._board.write([self._refused.record(self._record)])
            return True
        self._read_progress()
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
        if self._processes.who is not None:
            self._stop_sent = send_signal(self._processes.who.trainer, signal.SIGTERM)

    def tell_wish(self) -> None:
        """Bring the recorded wish to the trainer. Told later when that is not known yet.

        Raises:
            OSError: the control file cannot be written; the next look tries again.
        """
        wanted = self._record.job.desired_state
        if self._told is wanted:
            return
        wish(self._run, wanted)
        self._processes.attach()
        if self._processes.who is not None:
            # A trainer that does not catch the signal yet has still to read the file for the first time.
            send_if_caught(self._processes.who.trainer, WAKE)
            self._told = wanted

    def ask_for_checkpoint(self) -> None:
        """Have the trainer save after its present step.

        Raises:
            OSError: the control file cannot be written; nothing was asked.
        """
        try:
            control = read_control(self._run)
        except FormatError:
            control = Control(desired_state=self._record.job.desired_state)
        write_control(self._run, msgspec.structs.replace(control, checkpoints=control.checkpoints + 1))
        self.wake_trainer()

    def wake_trainer(self) -> None:
        """Have the trainer read its control file, when it is there and listens; otherwise it reads it as it starts."""
        self._processes.attach()
        if self._processes.who is not None:
            send_if_caught(self._processes.who.trainer, WAKE)

    def require_listening(self) -> None:
        """See that a running trainer knows wishes.

        Raises:
            Conflict: it was started by a saetui that did not.
        """
        self._processes.attach()
        job = self._record.job
        if (
            self._processes.who is not None
            and job.status is Status.RUNNING
            and is_deaf_to(self._processes.who.trainer, WAKE)
        ):
            raise Conflict(
                f"{job.name} ({job.state}) was started by an older saetui, and its trainer knows nothing but to stop.",
                "Stop it, then resume it: it goes on from there with this one.",
            )

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        self._processes.close()

    def _seconds_gone(self) -> float | None:
        """For how long the job's directory is no more where it was, or another one is in its place; None where it is not.

        Whoever moves it and puts a link in its place needs a moment for that.
        """
        if self._place is not None and place_of(self._run.path) == self._place:
            self._gone_since = None
            return None
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
        return now - self._gone_since

    def _end_without_directory(self, alive: bool) -> bool:
        """End what still trains into a directory that is gone, and record the failure when nothing does any more."""
        if alive:
            self._processes.end()
            self._board.show_progress(msgspec.structs.replace(self._record.job, degraded=GONE))
            return False
        self._board.write([moved(self._record, Status.FAILED, directory_gone(self._run.path))])
        return True

    def _read_progress(self) -> None:
        """Show what is new. What cannot be read is said once: the job's life and its end do not depend on it."""
        try:
            self._board.show_progress(self._progress.read(self._record.job))
        except OSError as error:
            if self._said != str(error):
                self._said = str(error)
                log.warning("job %s: %s", self._id, error)
        self._follow_state()

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
        record = self._record
        job = record.job
        nothing_started = not self._processes.ours and never_started(self._run, record.events_from)
        if job.status is Status.STARTING and nothing_started and job.desired_state is DesiredState.RUN:
            again = queued(record, self._board.last_rank() + 1, resumes=job.resumes)
            self._board.write([again])
            return
        outcome = judge(job, self._run, self._progress.ended, record.events_from)
        if outcome.status is not Status.PAUSED and not (nothing_started and job.status is Status.STARTING):
            self._board.write([self._revival.ended(record, outcome)])
        elif job.desired_state is DesiredState.RUN:
            # The pause was taken back while it was already freeing its memory.
            self._board.write([queued(forget_end(record), self._board.last_rank() + 1)])
        else:
            self._board.write([moved(forget_end(record), Status.PAUSED, unloaded=True)])
