"""One job whose processes live: watched and signalled, its progress read, its end recorded."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable

import msgspec

from saetui.errors import Conflict, FormatError
from saetui.home import Home
from saetui.jobs.job import DesiredState, Status
from saetui.launch.identity import lives_without_handler, send_if_caught, send_signal
from saetui.launch.locks import is_shortage
from saetui.launch.presence import directory_id
from saetui.launch.processes import Processes
from saetui.rundir.control import Control, read_control, write_control
from saetui.supervisor.attempts import forget_end, never_started, write_desired_state
from saetui.supervisor.auto_resume import AutoResume
from saetui.supervisor.jobs import Jobs, queued, with_status
from saetui.supervisor.outcome import cannot_start, directory_gone, judge
from saetui.supervisor.progress import Progress
from saetui.supervisor.record import Record

log = logging.getLogger(__name__)

READ_CONTROL = signal.SIGUSR1
"""Tells a trainer to read its control file."""

GONE = "The job's directory is gone: its training is being ended."


class RunningJob:
    """Follows one job from its start (or from the supervisor's start) to its recorded end.

    The job lives while the lock of its directory is held or one of its processes lives: the lock's file may be removed
    while it is held, and a process may not be known yet. Nothing here waits for a process.

    Raises (the methods that write): HomeError, OSError: the store or the job's directory cannot be written or read. What is
    recorded and was not sent is sent by the next `update`.
    """

    def __init__(
        self, home: Home, jobs: Jobs, auto_resume: AutoResume, job_id: str, wake: Callable[[], None], patience: float
    ) -> None:
        """`wake` is called from the event loop when a process has ended. `patience`: seconds; the directory may be away."""
        self._patience = patience
        self._jobs = jobs
        self._auto_resume = auto_resume
        self._id = job_id
        self._run = jobs[job_id].run
        self._directory = directory_id(self._run.path)
        self._gone_since: float | None = None
        self._start_failed: tuple[OSError, int] | None = None
        self._progress = Progress(self._run, jobs[job_id].events_from)
        self._processes = Processes(home, self._run, wake, patience)
        self._stop_sent = False
        self._sent: DesiredState | None = None
        self._logged = ""

    @property
    def _record(self) -> Record:
        return self._jobs[self._id]

    def started(self, runner: subprocess.Popen[bytes]) -> None:
        """The runner is a child of this process, which must reap it."""
        self._processes.started(runner)

    def could_not_start(self, error: OSError, rank: int) -> None:
        """No process could be started. The next `update` records that: now the store may have no room either.

        Where something has only run out, the job goes back to its place (`rank`) in the queue.
        """
        self._start_failed = error, rank

    def update(self) -> bool:
        """Read what is new. Returns whether the job has ended (and its end is recorded)."""
        self._processes.attach()
        # Asked first: once nothing lives, what is read afterwards is complete.
        alive = self._processes.alive()
        gone = self._seconds_gone()
        if gone is not None:
            return gone >= self._patience and self._end_without_directory(alive)
        if self._start_failed is not None and not alive:
            error, rank = self._start_failed
            if is_shortage(error):
                self._jobs.update([queued(self._record, rank, resumes=self._record.job.resumes)])
            else:
                self._jobs.update([with_status(self._record, Status.FAILED, cannot_start(error))])
            return True
        self._read_progress()
        if not alive:
            self._end()
            return True
        if self._record.job.status is not Status.STOPPING:
            self.send_desired_state()
        elif not self._stop_sent:
            self.send_stop()
        return False

    def send_stop(self) -> None:
        """Send SIGTERM to the trainer: it finishes its step, saves and exports. `update` sends it where it is too early."""
        if self._processes.found is not None:
            self._stop_sent = send_signal(self._processes.found.trainer, signal.SIGTERM)

    def send_desired_state(self) -> None:
        """Bring the recorded desired state to the trainer. `update` sends it where the trainer is not known yet."""
        wanted = self._record.job.desired_state
        if self._sent is wanted:
            return
        write_desired_state(self._run, wanted)
        if self.wake_trainer():
            self._sent = wanted

    def ask_for_checkpoint(self) -> None:
        """Have the trainer save after its present step."""
        try:
            control = read_control(self._run)
        except FormatError:
            control = Control(desired_state=self._record.job.desired_state)
        write_control(self._run, msgspec.structs.replace(control, checkpoints=control.checkpoints + 1))
        self.wake_trainer()

    def wake_trainer(self) -> bool:
        """Have the trainer read its control file; whether it is known. A trainer without a handler yet reads the file later."""
        self._processes.attach()
        if self._processes.found is None:
            return False
        send_if_caught(self._processes.found.trainer, READ_CONTROL)
        return True

    def require_control(self) -> None:
        """Refuse, as a Conflict, to ask more of a running trainer than it can do: an older saetui had no control files."""
        self._processes.attach()
        job, found = self._record.job, self._processes.found
        if found is not None and job.status is Status.RUNNING and lives_without_handler(found.trainer, READ_CONTROL):
            raise Conflict(
                f"{job.name} ({job.state}) was started by an older saetui, and its trainer can only be stopped.",
                "Stop it, then resume it: it goes on from there with this saetui.",
            )

    def close(self) -> None:
        """Stop watching; the processes are not touched."""
        self._processes.close()

    def _seconds_gone(self) -> float | None:
        """For how long the job's directory has been gone, or another one in its place; None where it is there.

        Whoever moves it and puts a link in its place needs a moment for that.
        """
        if self._directory is not None and directory_id(self._run.path) == self._directory:
            self._gone_since = None
            return None
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
        return now - self._gone_since

    def _end_without_directory(self, alive: bool) -> bool:
        """End a training whose directory is gone, and record the failure once nothing lives."""
        if alive:
            self._processes.end_without_directory()
            self._jobs.show_progress(msgspec.structs.replace(self._record.job, degraded=GONE))
            return False
        self._jobs.update([with_status(self._record, Status.FAILED, directory_gone(self._run.path))])
        return True

    def _read_progress(self) -> None:
        """Show what is new. An error is logged once: neither the job nor its end depends on its figures."""
        try:
            self._jobs.show_progress(self._progress.read(self._record.job))
        except OSError as error:
            if self._logged != str(error):
                self._logged = str(error)
                log.warning("job %s: %s", self._id, error)
        status = self._record.job.status
        if status is Status.STARTING and self._progress.started:
            status = self._jobs.set_status(self._id, Status.RUNNING).status
        if self._progress.paused and status in (Status.STARTING, Status.RUNNING):
            self._jobs.set_status(self._id, Status.PAUSED)
        elif status is Status.PAUSED and not self._progress.paused and self._progress.ended is None:
            self._jobs.set_status(self._id, Status.RUNNING)

    def _end(self) -> None:
        record, job = self._record, self._record.job
        rank = self._jobs.last_rank() + 1
        nothing_started = not self._processes.started_here and never_started(self._run, record.events_from)
        if job.status is Status.STARTING and nothing_started and job.desired_state is DesiredState.RUN:
            self._jobs.update([queued(record, rank, resumes=job.resumes)])
            return
        outcome = judge(job, self._run, self._progress.ended, record.events_from)
        if outcome.status is not Status.PAUSED and not (nothing_started and job.status is Status.STARTING):
            self._jobs.update([self._auto_resume.ended(record, outcome)])
        elif job.desired_state is DesiredState.RUN:
            # The user resumed the job while it was freeing its memory.
            self._jobs.update([queued(forget_end(record), rank)])
        else:
            self._jobs.update([with_status(forget_end(record), Status.PAUSED, unloaded=True)])
