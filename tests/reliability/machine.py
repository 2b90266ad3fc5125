"""A supervisor, its jobs and its clients on a home of their own, with failpoints, and what must hold of them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saetui.child_processes import child_environment
from saetui.client.blocking import ask
from saetui.client.lifecycle import holder_of, reachable
from saetui.errors import SupervisorError
from saetui.failpoints import VARIABLE
from saetui.jobs.job import Job, Status
from saetui.launch.identity import identify, read_identities
from saetui.protocol.messages import GetJobs, ResumeJobs
from saetui.rundir.checkpoints import list_checkpoints, newest_sound
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.reliability import client, trainer
from tests.supervisor.conftest import Machine

STEPS = 60
INTERVAL = 10


@dataclass
class Hold:
    """A failpoint at which a process stands until it is let go, once over all processes."""

    path: Path

    def at(self, point: str, hit: int) -> str:
        return f"{point}=hold:{self.path}@{hit}!{self.path}.token"

    def wait(self) -> None:
        """Until a process stands there."""
        eventually(Path(f"{self.path}.reached").exists)

    def let_go(self) -> None:
        self.path.touch()


class ReliableMachine(Machine):
    """A `Machine` whose trainers resume, and whose processes have failpoints."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root = root
        self.failpoints = ""
        self.trainer = [sys.executable, str(Path(trainer.__file__))]
        self.clients: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> int:
        command = [sys.executable, "-m", "saetui.supervisor", "--poll-seconds=0.05"]
        with open(self.log, "ab") as log:
            self.supervisor = subprocess.Popen(
                [*command, "--trainer-command", shlex.join(self.trainer), *arguments],
                env={**child_environment(self.home), VARIABLE: self.failpoints},
                stdout=log,
                stderr=log,
            )
        eventually(lambda: reachable(self.home) and holder_of(self.home) == self.pid)
        return self.pid

    def short_spec(self, steps: int = STEPS, **fields: Any) -> dict[str, Any]:
        """A job of a quarter of a second."""
        hyperparameters = {"num_steps": steps, "k": 8, "checkpoint_interval": INTERVAL}
        return {**self.spec(), "hyperparameters": hyperparameters, **fields}

    def start_client(self, steps: int = STEPS) -> subprocess.Popen[str]:
        """A client in a process of its own, which submits a job, says its id, and follows it to its end."""
        process = subprocess.Popen(
            [sys.executable, str(Path(client.__file__)), str(self._write_spec(steps))],
            env=child_environment(self.home),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.clients.append(process)
        return process

    def until_ended(self, job_id: str) -> Job:
        """The job when it has ended; its steps never went back meanwhile."""
        steps: list[int] = []

        def reached() -> Job | None:
            job = self.job(job_id)
            steps.append(job.step)
            return job if job.status.ended else None

        job = eventually(reached)
        assert job is not None
        assert steps == sorted(steps)
        return job

    def resume(self, *jobs: str) -> None:
        ask(ResumeJobs(jobs), self.home, start=False)

    def events(self, job_id: str) -> list[LoggedEvent]:
        return read_events(self.run(job_id).events)

    def clean(self) -> list[int]:
        for process in self.clients:
            process.kill()
            process.communicate()
        if self.supervisor is not None and self.supervisor.poll() is None and "hold" in self.failpoints:
            # One that still stands at a failpoint cannot leave as it is asked to.
            self.kill()
        return super().clean()

    def _write_spec(self, steps: int) -> Path:
        import json

        path = self.root / "spec.json"
        path.write_text(json.dumps(self.short_spec(steps)))
        return path


def check_job(machine: ReliableMachine, job: Job) -> None:
    """What holds of every job that has ended, however it was disturbed."""
    run = machine.run(job.id)
    assert [other.id for other in ask(GetJobs(), machine.home, start=False).jobs].count(job.id) == 1
    assert rows_of(machine, job.id) == list(range(1, job.step + 1))
    listed, sound = list_checkpoints(run.checkpoints), newest_sound(run.checkpoints)
    assert (sound.step if sound else None) == (listed[-1].step if listed else None)
    who = read_identities(run.identity)
    assert who is None or identify(who.trainer.pid) != who.trainer, "it has ended and its trainer lives"
    if job.status is Status.COMPLETED:
        assert trainer.result_of(run) == trainer.state_after(job.step)
        assert sorted(path.name for path in run.checkpoints.iterdir()) == [info.path.name for info in listed]


def rows_of(machine: ReliableMachine, job_id: str) -> list[int]:
    """The steps of the rows of a job, in the order of the file; each has the value that it must have."""
    reader = MetricReader(machine.run(job_id).training_metrics)
    reader.poll()
    steps, states = reader.series(trainer.SITE, "state")
    state = 0
    for step, found in zip(steps, states):
        state = trainer.state_after(step, state, step)
        assert found == state, f"the row of step {step} is of another training"
    assert reader.damaged == 0
    return steps


def memory_kib(pid: int, figure: str = "VmRSS") -> int:
    """What a process takes; `VmHWM`: the most it ever took."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(figure))


def descriptors_of(pid: int) -> int:
    """How many files, sockets and pipes a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def is_reachable(machine: ReliableMachine) -> bool:
    try:
        ask(GetJobs(), machine.home, start=False, timeout=5)
    except SupervisorError:
        return False
    return True
