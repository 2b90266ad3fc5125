"""A supervisor that is stopped (SIGSTOP) makes nobody wait for ever: each client says which process and what to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from saetui.cli.checks.finding import Verdict
from saetui.cli.checks.supervisor import check_supervisor
from saetui.cli.main import run
from saetui.client import liveness
from saetui.client.asyncio_client import AsyncioClient
from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.client.link import Link, Unreachable
from saetui.errors import SupervisorError
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs
from tests.supervisor.conftest import Machine


@contextmanager
def held(pid: int) -> Iterator[None]:
    """The process is stopped, and goes on whatever happens meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def stopped(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose supervisor is stopped while a job runs; clients are less patient than usual."""
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    monkeypatch.setattr(liveness, "PATIENCE_SECONDS", 0.2)
    pid = machine.start()
    job = machine.submit()
    machine.until_step(job.id, 1)
    with held(pid):
        yield machine
    machine.until_step(job.id, 1)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def what_is_said(machine: Machine) -> tuple[str, ...]:
    pid = machine.pid
    return f"pid {pid}", "it is stopped", f"kill -CONT {pid}", f"kill -9 {pid}", "trainings go on"


def test_commands_say_so_and_what_to_do(stopped: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["jobs"], ["supervisor", "status"], ["supervisor", "stop"], ["supervisor", "start"]):
        assert run(command) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and all(part in said for part in what_is_said(stopped)), said
    (found,) = check_supervisor(stopped.home)
    assert found.verdict is Verdict.PROBLEM
    assert all(part in f"{found.message} {found.suggestion}" for part in what_is_said(stopped))


async def test_the_connections_of_the_screens_say_so_too(stopped: Machine) -> None:
    with pytest.raises(SupervisorError) as caught:
        await AsyncioClient.connect(stopped.home)
    assert all(part in str(caught.value) for part in what_is_said(stopped))


async def test_a_screen_that_was_open_before_is_told_and_comes_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "PATIENCE_SECONDS", 0.2)
    pid = machine.start()
    link = Link(machine.home)
    updates = link.updates()
    await anext(updates)
    with held(pid):
        with pytest.raises(SupervisorError, match="it is stopped"):
            await link.request(GetJobs())
        while not isinstance(news := await anext(updates), Unreachable):
            pass
        assert all(part in str(news.error) for part in what_is_said(machine))
    while isinstance(await anext(updates), Unreachable):
        pass
    await link.close()


def test_a_request_that_takes_long_is_waited_for_while_the_supervisor_is_not_stopped(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = machine.start()
    with BlockingClient.connect(machine.home) as client:
        monkeypatch.setattr(liveness, "PATIENCE_SECONDS", 0.01)
        monkeypatch.setattr(liveness, "is_stopped", lambda pid: False)
        with held(pid), pytest.raises(SupervisorError, match=r"nothing for 0 s"):
            client.request(GetJobs(), timeout=0.3)
    assert ask(GetJobs(), machine.home).jobs == ()
