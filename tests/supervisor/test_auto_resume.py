"""Jobs that start again by themselves, where the user has switched it on."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from saetui.errors import Conflict
from saetui.jobs.job import Job, Status
from tests.conditions import eventually
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine


def test_a_killed_job_goes_on_by_itself_where_that_is_switched_on_and_not_for_ever(machine: Machine) -> None:
    machine.start()
    machine.prefer(auto_resume=True, auto_resume_tries=2, auto_resume_delay=0.05)
    job = machine.submit()
    for resumes in (0, 1, 2):
        eventually(partial(at_attempt, machine, job.id, resumes))
        os.kill(machine.processes(job.id)[1], signal.SIGKILL)
        eventually(lambda: machine.job(job.id).status is not Status.RUNNING)
    failed = machine.until(job.id, Status.FAILED)
    assert failed.resumes == 2 and failed.error is not None and failed.error.kind == "killed"
    assert "2 times by itself" in (failed.error.suggestion or "")
    machine.resume(job.id)
    assert machine.job(job.id).resumes == 0
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    assert machine.until(job.id, Status.STOPPED).error is None


def at_attempt(machine: Machine, job_id: str, number: int) -> bool:
    job = machine.job(job_id)
    return job.status is Status.RUNNING and job.resumes == number


def waiting_for_its_next_attempt(machine: Machine) -> Job:
    """A job that was killed, and that starts again in an hour."""
    machine.start()
    machine.prefer(auto_resume=True, auto_resume_delay=3600)
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    os.kill(machine.processes(job.id)[1], signal.SIGKILL)
    return machine.until(job.id, Status.FAILED)


def test_a_job_waits_for_its_next_attempt_over_a_supervisors_death_and_not_when_it_is_switched_off(
    machine: Machine,
) -> None:
    job = waiting_for_its_next_attempt(machine)
    assert job.error is not None and "by itself after 1h00m (attempt 1 of 3)" in (job.error.suggestion or "")
    machine.kill()
    machine.start()
    machine.prefer(auto_resume_delay=0)
    machine.until(job.id, Status.RUNNING)
    machine.prefer(auto_resume=False)
    os.kill(machine.processes(job.id)[1], signal.SIGKILL)
    assert "by itself" not in ((machine.until(job.id, Status.FAILED).error or job.error).suggestion or "")


def test_a_job_that_waits_for_its_next_attempt_is_kept_from_it_by_a_stop(machine: Machine) -> None:
    job = waiting_for_its_next_attempt(machine)
    assert job.error is not None and "unless it is stopped" in (job.error.suggestion or "")
    machine.stop(job.id)
    stays = machine.job(job.id)
    assert stays.status is Status.FAILED
    assert stays.error is not None and "by itself" not in (stays.error.suggestion or "")
    machine.prefer(auto_resume_delay=0)
    other = machine.submit(steps=1)
    machine.until(other.id, Status.COMPLETED)
    assert machine.job(job.id).status is Status.FAILED
    with pytest.raises(Conflict):
        machine.stop(job.id)


def test_a_training_that_fails_of_itself_is_not_started_again(machine: Machine) -> None:
    machine.start()
    machine.prefer(auto_resume=True, auto_resume_delay=0)
    job = machine.until(machine.submit(trainer.FAILS).id, Status.FAILED)
    done = machine.until(machine.submit(steps=1).id, Status.COMPLETED)
    assert done.error is None and machine.job(job.id).status is Status.FAILED
