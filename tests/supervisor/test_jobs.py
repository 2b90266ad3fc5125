from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.errors import Conflict, NotFound
from saetui.jobs.job import Status
from saetui.protocol.messages import DeleteJobs, GetJob, GetJobs, StopJobs, Submit
from saetui.spec.problems import SpecError
from tests.conditions import eventually, lives
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine


def test_a_job_runs_to_its_end_and_its_figures_are_seen(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=40)
    assert job.status is Status.QUEUED and job.num_steps == 40
    done = machine.until(job.id, Status.COMPLETED)
    assert (done.step, done.progress, done.error) == (40, 1.0, None)
    assert done.metrics == {"layer_1.resid_post": {"loss": 1 / 40, "fvu": 0.5, "eval_fvu": 0.25}}
    assert done.created_at <= (done.started_at or "") <= (done.ended_at or "")
    assert done.tokens_per_second is None and done.eta_seconds is None
    eventually(lambda: machine.mine() == [machine.pid])


def test_a_running_job_shows_speed_and_time_left_and_no_value_that_is_not_finite(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    seen = machine.until_step(job.id, 20)
    assert seen.tokens_per_second == pytest.approx(200)
    assert seen.eta_seconds == pytest.approx((1_000_000 - seen.step) * 0.05, rel=0.01)
    assert set(seen.metrics["layer_1.resid_post"]) <= {"loss", "fvu"}
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_one_job_runs_on_a_device_and_the_rest_wait_in_order(machine: Machine) -> None:
    machine.start()
    first, second, third = (machine.submit(device="cpu") for _ in range(3))
    elsewhere = machine.submit(device="cuda")
    machine.until(first.id, Status.RUNNING)
    machine.until(elsewhere.id, Status.RUNNING)
    assert machine.job(second.id).status is Status.QUEUED
    machine.stop(first.id)
    machine.until(second.id, Status.RUNNING)
    assert machine.job(third.id).status is Status.QUEUED
    machine.stop(second.id, third.id, elsewhere.id)
    assert machine.until(third.id, Status.STOPPED).started_at is None
    machine.until(second.id, Status.STOPPED)
    machine.until(elsewhere.id, Status.STOPPED)


def test_a_job_that_is_just_starting_can_be_stopped(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.STARTING, Status.RUNNING)
    machine.stop(job.id)
    assert machine.until(job.id, Status.STOPPED).error is None


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        (trainer.FAILS, "training", "The loss is not finite."),
        (trainer.CRASHES, "training", "exit code 1 without saying why. RuntimeError: the fake trainer crashed"),
        (trainer.ENDS_SILENTLY, "training", "exit code 7 without saying why. a [31mword[0m in the log"),
    ],
)
def test_a_failure_is_known_with_its_reason(machine: Machine, mode: int, kind: str, words: str) -> None:
    machine.start()
    job = machine.until(machine.submit(mode).id, Status.FAILED)
    assert job.error is not None
    assert job.error.kind == kind and words in job.error.message and job.error.suggestion


def test_a_killed_trainer_is_known_by_its_signal(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    os.kill(machine.processes(job.id)[1], signal.SIGKILL)
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and error.kind == "killed" and "SIGKILL" in error.message


def test_a_trainer_lives_on_when_its_runner_is_killed_and_says_itself_how_it_ended(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    runner, training = machine.processes(job.id)
    os.kill(runner, signal.SIGKILL)
    eventually(lambda: not lives(runner))
    machine.until_step(job.id, machine.job(job.id).step + 20)
    assert lives(training)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_when_runner_and_trainer_are_both_killed_the_job_says_that_it_does_not_know(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    for pid in machine.processes(job.id):
        os.kill(pid, signal.SIGKILL)
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and "runner was killed too" in error.message


def test_a_taken_name_is_a_conflict_and_a_generated_one_gets_a_number(machine: Machine) -> None:
    machine.start()
    first = machine.submit(name="mine", steps=1)
    with pytest.raises(Conflict, match="name: 'mine' is taken") as caught:
        machine.submit(name="mine")
    assert "another name" in (caught.value.suggestion or "")
    generated = [machine.submit(steps=1).name for _ in range(2)]
    assert generated[1] == generated[0] + "_2"
    assert [job.name for job in ask(GetJobs(), machine.home).jobs] == [first.name, *generated]
    for name in ("mine", *generated):
        machine.until(name, Status.COMPLETED)


def test_every_problem_of_a_spec_comes_at_once_and_nothing_half_made_is_left(machine: Machine) -> None:
    machine.start()
    machine.submit(name="mine", steps=1)
    machine.until("mine", Status.COMPLETED)
    before = sorted(machine.home.runs.iterdir())
    with pytest.raises(SpecError) as caught:
        machine.submit(name="mine", layers=[99], dataset={"source": "/nowhere"}, dtype="float7")
    fields = {problem.field for problem in caught.value.problems}
    assert {"name", "layers", "dataset.source", "dtype"} <= fields
    assert sorted(machine.home.runs.iterdir()) == before
    assert len(ask(GetJobs(), machine.home).jobs) == 1


def test_a_job_is_found_by_id_prefix_and_name(machine: Machine) -> None:
    machine.start()
    job = machine.submit(name="findable", steps=1)
    for text in (job.id, job.id[:5], "findable"):
        assert machine.job(text).id == job.id
    with pytest.raises(NotFound, match="findable") as caught:
        machine.job("findabel")
    assert "findable" in (caught.value.suggestion or "")
    machine.until(job.id, Status.COMPLETED)


def test_only_ended_jobs_are_deleted_and_only_others_stopped(machine: Machine) -> None:
    machine.start()
    done, running = machine.submit(steps=1), machine.submit()
    machine.until(done.id, Status.COMPLETED)
    machine.until(running.id, Status.RUNNING)
    with pytest.raises(Conflict, match="not ended"):
        ask(DeleteJobs((done.id, running.id)), machine.home)
    with pytest.raises(Conflict, match="already ended"):
        ask(StopJobs((running.id, done.id)), machine.home)
    assert machine.job(running.id).status is Status.RUNNING
    ask(DeleteJobs((done.id,)), machine.home)
    assert not Path(done.directory).exists()
    with pytest.raises(NotFound):
        ask(GetJob(done.id), machine.home)
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)
    assert [path.name for path in machine.home.runs.iterdir()] == [running.id]


def test_the_specs_directory_holds_the_complete_spec_as_it_was_asked(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=1, device="auto")
    spec = machine.run(job.id).read_spec()
    assert spec["name"] == job.name and spec["device"] == "auto" and spec["hyperparameters"]["batch_size"] > 0
    machine.until(job.id, Status.COMPLETED)


def test_a_number_that_is_not_finite_does_not_turn_into_a_default(machine: Machine) -> None:
    machine.start()
    with pytest.raises(SpecError, match="finite"):
        ask(Submit(machine.spec(hyperparameters={"learning_rate": float("nan")})), machine.home)
