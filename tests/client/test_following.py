from __future__ import annotations

import os
import signal
import threading

import pytest

from saetui.client.blocking import ask, follow_job
from saetui.client.blocking_client import BlockingClient
from saetui.client.lifecycle import holder_of, stop_supervisor
from saetui.errors import NotFound, SupervisorError
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import DeleteJobs, GetJobs, GetStatus, Submit
from saetui.spec.problems import SpecError
from tests.conditions import eventually
from tests.supervisor.conftest import Machine


def test_a_job_is_followed_to_its_end(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=20)
    seen = list(follow_job(job.name, machine.home))
    assert seen[-1].status is Status.COMPLETED and seen[-1].step == 20
    assert [found.step for found in seen] == sorted(found.step for found in seen)


def test_a_job_is_followed_through_the_death_of_the_supervisor(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=200)
    seen: list[Job] = []
    following = threading.Thread(target=lambda: seen.extend(follow_job(job.id, machine.home)))
    following.start()
    machine.until(job.id, Status.RUNNING)
    machine.kill()
    following.join(30)
    assert seen[-1].status is Status.COMPLETED and seen[-1].step == 200
    assert holder_of(machine.home) not in (None, machine.pid)
    stop_supervisor(machine.home)


def test_following_what_is_not_there_or_is_deleted_is_not_found(machine: Machine) -> None:
    machine.start()
    with pytest.raises(NotFound):
        next(follow_job("nothing", machine.home))
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    ask(DeleteJobs((job.id,)), machine.home)
    with pytest.raises(NotFound):
        next(follow_job(job.id, machine.home))


def test_several_requests_share_a_connection_and_errors_do_not_end_it(machine: Machine) -> None:
    machine.start()
    with BlockingClient.connect(machine.home) as client:
        assert client.supervisor_pid == machine.pid
        with pytest.raises(SpecError):
            client.request(Submit({}))
        assert client.request(GetJobs()).jobs == ()
        assert client.request(GetStatus()).clients == 1


def test_a_supervisor_that_dies_under_a_request_is_an_error_and_not_a_hang(machine: Machine) -> None:
    pid = machine.start()
    with BlockingClient.connect(machine.home) as client:
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(SupervisorError):
            client.request(GetJobs())


def test_a_client_that_dies_changes_nothing_for_a_job(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    client = BlockingClient.connect(machine.home)
    next(client.news())
    client.close()
    before = machine.until_step(job.id, 5)
    machine.until_step(job.id, before.step + 10)
    eventually(lambda: ask(GetStatus(), machine.home).clients == 1)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)
