"""A real supervisor on a home of its own, with a small real trainer; nothing of it may be left at the end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saetui.child_processes import child_environment
from saetui.client.blocking import ask
from saetui.client.lifecycle import holder_of, reachable
from saetui.failpoints import VARIABLE
from saetui.home import Home
from saetui.jobs.job import Job, Status
from saetui.launch.identity import read_identities
from saetui.launch.presence import find_living
from saetui.protocol.messages import GetJob, PauseJobs, ResumeJobs, SetPreferences, StopJobs, Submit
from saetui.rundir.layout import RunDirectory
from tests.conditions import eventually, lives
from tests.supervisor import trainer

FOREVER = 1_000_000


class Machine:
    """One home and whatever runs for it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "home")
        self.log = root / "foreground.log"
        self.failpoints = ""
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.files: int | None = None
        """How many files the supervisor may have open at once (ulimit -n); None: as many as the tests."""
        self._model = make_model(root / "model")
        self._text = root / "text.txt"
        self._text.write_text("some words to train on " * 100)

    def spec(self, mode: int = trainer.WELL, steps: int = FOREVER, **fields: Any) -> dict[str, Any]:
        """A sound spec; `mode` says how the trainer behaves."""
        return {
            "model": str(self._model),
            "dataset": {"source": str(self._text), "context_length": 32},
            "layers": [1],
            "hyperparameters": {"num_steps": steps, "k": 8},
            "seed": mode,
            **fields,
        }

    def start(self, *arguments: str) -> int:
        """A supervisor in the foreground; its pid."""
        command = shlex.join([sys.executable, str(Path(trainer.__file__))])
        limit = [] if self.files is None else ["sh", "-c", f'ulimit -n {self.files}; exec "$@"', "sh"]
        with open(self.log, "ab") as log:
            self.supervisor = subprocess.Popen(
                [
                    *limit,
                    sys.executable,
                    "-m",
                    "saetui.supervisor",
                    "--trainer-command",
                    command,
                    "--poll-seconds=0.05",
                    *arguments,
                ],
                env={**child_environment(self.home), VARIABLE: self.failpoints},
                stdout=log,
                stderr=log,
            )
        try:
            eventually(lambda: reachable(self.home) and holder_of(self.home) == self.pid)
        except AssertionError as error:
            state = f"exit code {self.supervisor.poll()}, lock held by {holder_of(self.home)}"
            raise AssertionError(f"{state}\n{self.log.read_text()}") from error
        return self.pid

    @property
    def pid(self) -> int:
        assert self.supervisor is not None
        return self.supervisor.pid

    def kill(self) -> None:
        """kill -9 the supervisor."""
        assert self.supervisor is not None
        self.supervisor.kill()
        self.supervisor.wait()

    def leave(self) -> int:
        """End the supervisor as a user does; its exit code."""
        assert self.supervisor is not None
        self.supervisor.terminate()
        return self.supervisor.wait()

    def submit(self, mode: int = trainer.WELL, steps: int = FOREVER, **fields: Any) -> Job:
        return ask(Submit(self.spec(mode, steps, **fields)), self.home, start=False).job

    def job(self, job_id: str) -> Job:
        return ask(GetJob(job_id), self.home, start=False).job

    def stop(self, *jobs: str) -> None:
        ask(StopJobs(jobs), self.home, start=False)

    def pause(self, *jobs: str, unload: bool = False) -> None:
        ask(PauseJobs(jobs, unload), self.home, start=False)

    def resume(self, *jobs: str) -> None:
        ask(ResumeJobs(jobs), self.home, start=False)

    def prefer(self, **values: Any) -> None:
        ask(SetPreferences(values), self.home, start=False)

    def until(self, job_id: str, *statuses: Status) -> Job:
        """The job as soon as it has one of these states."""

        def reached() -> Job | None:
            job = self.job(job_id)
            return job if job.status in statuses else None

        job = eventually(reached)
        assert job is not None
        return job

    def until_step(self, job_id: str, step: int) -> Job:
        def reached() -> Job | None:
            job = self.job(job_id)
            return job if job.step >= step else None

        job = eventually(reached)
        assert job is not None
        return job

    def run(self, job_id: str) -> RunDirectory:
        return RunDirectory(self.home.runs / job_id)

    def processes(self, job_id: str) -> tuple[int, int]:
        """The pids of a job's runner and trainer."""
        who = eventually(lambda: read_identities(self.run(job_id).identity))
        assert who is not None
        return who.runner.pid, who.trainer.pid

    def living(self, job_id: str) -> list[int]:
        """The pids of every process of a job, the runner's first; no file of the job is asked."""
        return sorted(who.pid for who in find_living(self.home, [job_id]).get(job_id, []))

    def call_failed(self, job_id: str) -> None:
        """As if an earlier supervisor had called a job failed while it trained."""
        store = json.loads(self.home.store.read_text())
        for document in store["jobs"].values():
            if document["job"]["id"] == job_id:
                document["job"]["status"] = Status.FAILED.value
        del store["crc"]
        self.home.store.write_text(json.dumps(store))

    def mine(self) -> list[int]:
        """Every process that lives for this home."""
        mark = f"SAETUI_HOME={self.home.root}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            pid = int(entry.name)
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark in environment and pid != os.getpid() and lives(pid):
                found.append(pid)
        return found

    def clean(self) -> list[int]:
        """End everything; what then still lived on its own."""
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.leave()
        # What is already ending may take its moment.
        deadline = time.monotonic() + 2.0
        while (left := self.mine()) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.mine())
        self.home.socket.unlink(missing_ok=True)
        return left


def make_model(directory: Path) -> Path:
    """What the supervisor reads of a model: it never loads one."""
    directory.mkdir()
    config = {"model_type": "gpt2", "n_layer": 6, "n_embd": 32, "n_positions": 64}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "model.safetensors").write_bytes(b"x" * 100)
    (directory / "tokenizer.json").write_text("{}")
    return directory


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a supervisor; a test that lets jobs run to their end leaves no process."""
    machine = Machine(tmp_path)
    yield machine
    assert machine.clean() == [], "processes were left behind"
