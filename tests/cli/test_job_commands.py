"""What is done to jobs from the command line, against a real supervisor with a trainer that needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saetui.cli.main import run
from saetui.jobs.job import Status
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine
from tests.supervisor.conftest import machine as bare_machine

__all__ = ["bare_machine"]


class Shell:
    """The command line, in this process, on a machine's home."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = run(arguments)
        self.out, self.err = self._capture.readouterr()
        return code

    def json(self, *arguments: str) -> Any:
        assert self(*arguments, "--json") == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def machine(bare_machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("SAETUI_HOME", str(bare_machine.home.root))
    bare_machine.start()
    yield bare_machine
    monkeypatch.undo()


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def names(documents: Any) -> list[str]:
    return [document["name"] for document in documents]


def test_a_job_is_paused_resumed_and_stopped_by_its_name(machine: Machine, shell: Shell) -> None:
    job = machine.submit(name="mine")
    machine.until_step(job.id, 2)
    assert names(shell.json("pause", "mine")) == ["mine"]
    machine.until(job.id, Status.PAUSED)
    assert shell("jobs") == 0 and "‖ paused" in shell.out
    assert shell("resume", job.id[:5]) == 0
    machine.until(job.id, Status.RUNNING)
    assert shell("checkpoint", "mine") == 0
    assert names(shell.json("pause", "--all", "--release")) == ["mine"]
    released = machine.until(job.id, Status.PAUSED)
    assert shell.json("stop", "--status", "paused")[0]["status"] in ("stopped", "stopping")
    machine.until(job.id, Status.STOPPED)
    assert shell("show", "mine") == 0 and f"step {released.step}" in shell.out


def test_several_jobs_all_of_them_or_all_in_a_state(machine: Machine, shell: Shell) -> None:
    running = machine.submit(name="running")
    machine.until(running.id, Status.RUNNING)
    for name in ("a", "b", "c"):
        machine.submit(name=name, steps=1)
    assert names(shell.json("pause", "a", "b")) == ["a", "b"]
    assert names(shell.json("resume", "--status", "paused")) == ["a", "b"]
    assert set(names(shell.json("pause", "--status", "queued"))) == {"a", "b", "c"}
    assert shell("pause", "a", "running") == 1
    assert "a is paused already. Nothing was done to the others." in shell.err
    assert names(shell.json("stop", "--all")) == ["running", "a", "b", "c"]
    machine.until(running.id, Status.STOPPED)
    assert shell("stop", "--all") == 0 and "No job to stop." in shell.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause",), "Name the jobs to pause"),
        (("resume", "a", "--all"), "Name the jobs to resume"),
        (("pause", "--status", "completed"), "'completed' is not one of 'queued', 'starting', 'running', 'paused'"),
        (("retry", "--status", "stopped"), "add --yes"),
        (("queue", "a"), "Give --first, --last, --up or --down"),
        (("config", "get", "colour"), "There is no setting 'colour'"),
        (("config", "set", "auto_resume", "perhaps"), "'perhaps' is not on or off"),
    ],
)
def test_a_command_line_that_is_not_clear_is_wrong_usage(
    machine: Machine, shell: Shell, arguments: tuple[str, ...], words: str
) -> None:
    machine.submit(name="a", steps=1)
    machine.until("a", Status.COMPLETED)
    if arguments[0] == "retry":
        job = machine.submit(name="b")
        machine.until("b", Status.RUNNING)
        machine.stop(job.id)
        machine.until("b", Status.STOPPED)
    assert shell(*arguments) == 2
    assert words in shell.err


def test_a_retry_is_asked_for_and_then_trains_from_the_start(machine: Machine, shell: Shell) -> None:
    job = machine.submit(name="mine", steps=2)
    first = machine.until(job.id, Status.COMPLETED)
    assert shell("resume", "mine") == 1 and "`saetui retry` trains it again" in shell.err
    assert shell("retry", "mine") == 2
    assert shell.json("retry", "mine", "--yes")[0]["id"] == job.id
    again = machine.until(job.id, Status.COMPLETED)
    assert (again.started_at or "") > (first.started_at or "")


def test_the_queue_is_shown_and_changed(machine: Machine, shell: Shell) -> None:
    assert shell("queue") == 0 and "No job waits." in shell.err
    running = machine.submit(name="running")
    machine.until(running.id, Status.RUNNING)
    for name in ("a", "b"):
        machine.submit(name=name, steps=1)
    assert names(shell.json("queue", "b", "--first")) == ["b", "a"]
    assert shell("queue") == 0
    assert shell.out.splitlines()[1].split()[3:5] == ["#1", "b"]
    assert shell("jobs") == 0 and "queued #2" in shell.out
    machine.stop("running", "a", "b")
    machine.until("running", Status.STOPPED)


def test_a_job_after_another_waits_and_says_so(machine: Machine, shell: Shell, tmp_path: Path) -> None:
    first = machine.submit(name="first")
    machine.until(first.id, Status.RUNNING)
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(machine.spec(steps=1, name="second")))
    assert shell("train", str(spec), "--after", "nobody") == 1 and "'nobody'" in shell.err
    assert shell.json("train", str(spec), "--after", "first")["after"] == first.id
    assert shell("show", "second") == 0 and f"job {first.id}" in shell.out and "waiting" in shell.out
    machine.stop("first")
    failed = machine.until("second", Status.FAILED)
    assert failed.error is not None and "first" in failed.error.message


def test_a_job_is_watched_to_its_end(machine: Machine, shell: Shell) -> None:
    machine.submit(name="mine", steps=30)
    assert shell("watch", "mine") == 0
    assert "completed" in shell.out and "training" in shell.err and "completed" in shell.err
    machine.submit(trainer.FAILS, name="failing")
    assert shell("watch", "failing", "--json") == 1
    assert json.loads(shell.out)["status"] == "failed"


def test_settings_are_kept_for_every_client(machine: Machine, shell: Shell) -> None:
    assert shell("config", "get", "auto_resume") == 0 and shell.out == "off\n"
    assert shell("config", "set", "auto_resume", "on") == 0
    assert "auto_resume = on" in shell.out and "crontab" in shell.err
    assert shell.json("config", "get", "auto_resume") == {"auto_resume": True}
    assert shell.json("config", "list")["auto_resume_tries"] == 3
    assert shell("config", "list") == 0 and "theme = auto" in shell.out
