"""Pause, resume, checkpoint, retry, the order of the queue, dependencies: what is asked of jobs that are there."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from saetui.client.blocking import ask
from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.jobs.commands import JobCommand, statuses_for
from saetui.jobs.job import DesiredState, Job, Status
from saetui.protocol.messages import (
    CheckpointJobs,
    GetJobs,
    GetPreferences,
    MoveJobs,
    PauseJobs,
    Place,
    ResumeJobs,
    RetryJobs,
    Submit,
)
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.events import read_events
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine


def steps_recorded(machine: Machine, job_id: str) -> list[int]:
    reader = MetricReader(machine.run(job_id).training_metrics)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def kinds(machine: Machine, job_id: str) -> list[str]:
    return [event.kind for event in read_events(machine.run(job_id).events)]


def test_a_paused_job_holds_its_device_and_goes_on_at_the_same_step_in_the_same_process(machine: Machine) -> None:
    machine.start()
    job, waiting = machine.submit(), machine.submit(steps=1)
    machine.until_step(job.id, 5)
    processes = machine.processes(job.id)
    machine.pause(job.id)
    paused = machine.until(job.id, Status.PAUSED)
    assert not paused.unloaded and paused.holds_device and paused.tokens_per_second is None
    assert machine.job(waiting.id).status is Status.QUEUED
    assert len(steps_recorded(machine, job.id)) == paused.step
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    machine.until_step(job.id, paused.step + 5)
    assert machine.processes(job.id) == processes
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert steps_recorded(machine, job.id) == list(range(1, stopped.step + 1))
    machine.until(waiting.id, Status.COMPLETED)


def test_a_released_job_frees_its_device_and_goes_on_through_the_queue(machine: Machine) -> None:
    machine.start()
    job, other = machine.submit(), machine.submit()
    machine.until_step(job.id, 5)
    machine.pause(job.id, unload=True)
    released = machine.until(job.id, Status.PAUSED)
    eventually(lambda: machine.job(job.id).unloaded)
    machine.until(other.id, Status.RUNNING)
    machine.resume(job.id)
    assert machine.job(job.id).status is Status.QUEUED
    machine.stop(other.id)
    machine.until(other.id, Status.STOPPED)
    machine.until_step(job.id, released.step + 5)
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert steps_recorded(machine, job.id) == list(range(1, stopped.step + 1))
    assert stopped.started_at == released.started_at


def test_a_held_job_can_free_its_memory_later_and_be_stopped_in_either_state(machine: Machine) -> None:
    machine.start()
    held, freed = machine.submit(), machine.submit(device="cuda")
    for job in (held, freed):
        machine.until_step(job.id, 2)
    machine.pause(held.id, freed.id)
    machine.until(held.id, Status.PAUSED)
    machine.until(freed.id, Status.PAUSED)
    machine.pause(freed.id, unload=True)
    eventually(lambda: machine.job(freed.id).unloaded)
    machine.stop(held.id, freed.id)
    assert machine.job(freed.id).status is Status.STOPPED
    assert machine.until(held.id, Status.STOPPED).error is None


def test_a_queued_job_that_is_paused_does_not_start_until_it_is_resumed(machine: Machine) -> None:
    machine.start()
    first, second = machine.submit(), machine.submit(steps=1)
    machine.pause(second.id)
    assert machine.job(second.id).status is Status.PAUSED and machine.job(second.id).unloaded
    machine.stop(first.id)
    machine.until(first.id, Status.STOPPED)
    third = machine.submit(steps=1)
    machine.until(third.id, Status.COMPLETED)
    assert machine.job(second.id).status is Status.PAUSED
    machine.resume(second.id)
    machine.until(second.id, Status.COMPLETED)


def test_a_job_that_is_to_be_paused_at_its_start_holds_before_it_trains(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.STARTING, Status.RUNNING)
    machine.pause(job.id)
    machine.until(job.id, Status.PAUSED)
    machine.resume(job.id)
    machine.until_step(job.id, 3)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_a_pause_that_was_recorded_but_never_sent_is_sent_by_the_next_supervisor(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until_step(job.id, 2)
    os.kill(machine.processes(job.id)[1], signal.SIGSTOP)
    machine.pause(job.id)
    machine.kill()
    os.kill(machine.processes(job.id)[1], signal.SIGCONT)
    machine.start()
    assert machine.until(job.id, Status.PAUSED).desired_state is DesiredState.PAUSE
    machine.kill()
    machine.start()
    assert machine.job(job.id).status is Status.PAUSED
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_a_job_that_freed_its_memory_while_there_was_no_supervisor_is_found_paused(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until_step(job.id, 2)
    os.kill(machine.processes(job.id)[1], signal.SIGSTOP)
    machine.pause(job.id, unload=True)
    machine.kill()
    os.kill(machine.processes(job.id)[1], signal.SIGCONT)
    eventually(lambda: not machine.mine())
    machine.start()
    found = machine.job(job.id)
    assert found.status is Status.PAUSED and found.unloaded
    machine.stop(job.id)


@pytest.mark.parametrize("mode", [trainer.WELL, trainer.FAILS])
def test_an_ended_job_is_resumed_from_its_checkpoint_as_the_same_job(machine: Machine, mode: int) -> None:
    machine.start()
    job = machine.submit(mode)
    if mode == trainer.WELL:
        machine.until_step(job.id, 5)
        machine.stop(job.id)
    ended = machine.until(job.id, Status.STOPPED, Status.FAILED)
    machine.resume(job.id)
    again = machine.job(job.id)
    assert again.status in (Status.QUEUED, Status.STARTING) and again.error is None and again.ended_at is None
    if mode == trainer.FAILS:
        assert machine.until(job.id, Status.FAILED).error is not None
        assert kinds(machine, job.id).count("started") == 2
        return
    machine.until_step(job.id, ended.step + 5)
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert steps_recorded(machine, job.id) == list(range(1, stopped.step + 1))


def test_a_resumed_job_that_is_killed_before_it_says_anything_does_not_take_its_earlier_end_for_its_own(
    machine: Machine,
) -> None:
    machine.start()
    blocker = machine.submit(device="cuda")
    job = machine.submit()
    machine.until_step(job.id, 2)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)
    other = machine.submit()
    machine.until(other.id, Status.RUNNING)
    machine.resume(job.id)
    machine.kill()
    machine.start()
    assert machine.job(job.id).status is Status.QUEUED, "an old end was taken for a new one"
    machine.stop(other.id, blocker.id)
    machine.until(job.id, Status.RUNNING)
    os.kill(machine.processes(job.id)[1], signal.SIGKILL)
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and "SIGKILL" in error.message
    machine.until(blocker.id, Status.STOPPED)


def test_a_retry_starts_from_nothing_and_keeps_only_the_log(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=20)
    first = machine.until(job.id, Status.COMPLETED)
    machine.run(job.id).log.write_text("what the first attempt printed\n")
    machine.run(job.id).result("layer_1.resid_post").mkdir(parents=True)
    ask(RetryJobs((job.id,)), machine.home)
    fresh = machine.job(job.id)
    assert (fresh.step, fresh.metrics, fresh.started_at) == (0, {}, None) or fresh.status is not Status.QUEUED
    done = machine.until(job.id, Status.COMPLETED)
    assert (done.started_at or "") > (first.ended_at or "")
    assert kinds(machine, job.id).count("started") == 1
    assert steps_recorded(machine, job.id) == list(range(1, 21))
    assert not machine.run(job.id).sae.exists()
    assert machine.run(job.id).log.read_text().startswith("what the first attempt printed")
    assert not list(machine.run(job.id).path.glob(".*"))


def test_a_checkpoint_is_saved_when_it_is_asked_for(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until_step(job.id, 3)
    directory = machine.run(job.id).checkpoints
    for number in (1, 2):
        ask(CheckpointJobs((job.id,)), machine.home)
        eventually(partial(has_checkpoints, directory, number))
    machine.pause(job.id)
    paused = machine.until(job.id, Status.PAUSED)
    ask(CheckpointJobs((job.id,)), machine.home)
    eventually(lambda: list_checkpoints(directory)[-1].step == paused.step)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def has_checkpoints(directory: Path, number: int) -> bool:
    return len(list_checkpoints(directory)) == number


def test_a_refusal_names_job_state_and_way_out_and_nothing_is_done_to_the_others(machine: Machine) -> None:
    machine.start()
    done, running = machine.submit(name="done", steps=1), machine.submit(name="going")
    machine.until(done.id, Status.COMPLETED)
    machine.until(running.id, Status.RUNNING)
    with pytest.raises(Conflict) as caught:
        machine.pause(running.id, done.id)
    assert "done has completed" in caught.value.message and "going" not in caught.value.message
    assert "saetui retry" in (caught.value.suggestion or "")
    assert machine.job(running.id).desired_state is DesiredState.RUN
    with pytest.raises(Conflict, match=r"going \(running\)"):
        ask(RetryJobs((done.id, running.id)), machine.home)
    assert machine.job(done.id).status is Status.COMPLETED
    with pytest.raises(NotFound):
        machine.resume(done.id, "nobody")
    machine.pause(running.id)
    machine.until(running.id, Status.PAUSED)
    with pytest.raises(Conflict, match="paused already"):
        machine.pause(running.id)
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


def test_a_trainer_without_a_control_file_is_not_killed_by_its_signal(machine: Machine) -> None:
    machine.start()
    job = machine.submit(trainer.KNOWS_NO_WISHES)
    machine.until_step(job.id, 2)
    with pytest.raises(Conflict, match="older saetui"):
        machine.pause(job.id)
    machine.until_step(job.id, machine.job(job.id).step + 5)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def queue(machine: Machine) -> list[str]:
    waiting = [job for job in ask(GetJobs(), machine.home).jobs if job.status is Status.QUEUED]
    return [job.name for job in sorted(waiting, key=lambda job: job.queue_rank or 0)]


def test_the_order_of_the_queue_is_changed_and_kept(machine: Machine) -> None:
    machine.start()
    running = machine.submit()
    machine.until(running.id, Status.RUNNING)
    for name in "abcd":
        machine.submit(name=name, steps=1)

    def move(to: Place, *jobs: str) -> list[str]:
        return [job.name for job in ask(MoveJobs(jobs, to), machine.home).jobs]

    assert move(Place.FIRST, "c") == ["c", "a", "b", "d"]
    assert move(Place.DOWN, "c") == ["a", "c", "b", "d"]
    assert move(Place.UP, "b", "d") == ["a", "b", "d", "c"]
    assert move(Place.LAST, "b", "a") == ["d", "c", "b", "a"]
    assert move(Place.UP, "d") == ["d", "c", "b", "a"]
    with pytest.raises(Conflict, match="does not wait"):
        move(Place.FIRST, running.id)
    machine.kill()
    machine.start()
    assert queue(machine) == ["d", "c", "b", "a"]
    machine.stop(running.id)
    done = [machine.until(name, Status.COMPLETED) for name in "dcba"]
    assert [job.name for job in sorted(done, key=lambda job: job.started_at or "")] == ["d", "c", "b", "a"]


def submit_after(machine: Machine, after: str, **fields: Any) -> Job:
    return ask(Submit(machine.spec(steps=1, **fields), after=after), machine.home).job


def test_a_job_waits_for_the_one_it_needs_and_does_not_keep_others_waiting(machine: Machine) -> None:
    machine.start()
    first = machine.submit(steps=60)
    machine.until(first.id, Status.RUNNING)
    ask(PauseJobs((first.id,)), machine.home)
    second = submit_after(machine, first.id, device="cuda")
    third = machine.submit(steps=1, device="cuda")
    machine.until(third.id, Status.COMPLETED)
    assert machine.job(second.id).status is Status.QUEUED and machine.job(second.id).after == first.id
    ask(ResumeJobs((first.id,)), machine.home)
    done = machine.until(second.id, Status.COMPLETED)
    assert (done.started_at or "") >= (machine.job(first.id).ended_at or "?")


def test_a_job_fails_with_the_reason_when_the_one_it_needs_does(machine: Machine) -> None:
    machine.start()
    blocker = machine.submit(device="cuda")
    first = machine.submit(trainer.FAILS, name="cache")
    second = submit_after(machine, first.id, device="cuda")
    error = machine.until(second.id, Status.FAILED).error
    assert error is not None and error.kind == "dependency"
    assert "cache" in error.message and "The loss is not finite." in error.message
    with pytest.raises(Conflict, match="will not complete"):
        submit_after(machine, first.id)
    machine.stop(blocker.id)
    machine.until(blocker.id, Status.STOPPED)


def test_preferences_are_kept_and_wrong_ones_refused(machine: Machine) -> None:
    machine.start()
    machine.prefer(theme="nord", auto_resume_tries=5)
    for wrong in (
        {"theme": "pink"},
        {"auto_resume_tries": 0},
        {"colour": 1},
        {"theme": "nord", "refresh_seconds": "x"},
    ):
        with pytest.raises(InvalidInput, match=next(reversed(wrong))):
            machine.prefer(**wrong)
    machine.kill()
    machine.start()
    kept = ask(GetPreferences(), machine.home).preferences
    assert (kept.theme, kept.auto_resume_tries, kept.auto_resume) == ("nord", 5, False)


def test_every_verb_names_the_states_in_which_it_can_be_used() -> None:
    assert set(statuses_for(JobCommand.RESUME)) == {Status.PAUSED, Status.STOPPED, Status.FAILED, Status.LOST}
    assert set(statuses_for(JobCommand.CHECKPOINT)) == {Status.RUNNING, Status.PAUSED}
    assert all(status.ended for status in statuses_for(JobCommand.DELETE))
