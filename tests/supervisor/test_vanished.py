"""A job's directory, or a file of it, is removed, moved or replaced under it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from saetui.client.blocking import ask
from saetui.errors import Conflict, HomeError
from saetui.jobs.job import Job, Status
from saetui.launch.identity import Identities, identify
from saetui.protocol.messages import DeleteJobs, GetJobs, RetryJobs
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually, lives
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine

AT_ONCE = 2.0
"""Seconds in which a supervisor answers that waits for nobody, on a loaded machine."""


def answers_at_once(machine: Machine) -> bool:
    begin = time.monotonic()
    ask(GetJobs(), machine.home, start=False)
    return time.monotonic() - begin < AT_ONCE


def running(machine: Machine, mode: int = trainer.WELL) -> Job:
    job = machine.submit(mode)
    machine.until_step(job.id, 5)
    return machine.job(job.id)


def remove(run: RunDirectory) -> None:
    """rm -rf, until nothing is written into it any more in between."""

    def is_gone() -> bool:
        shutil.rmtree(run.path, ignore_errors=True)
        return not run.path.exists()

    eventually(is_gone)


def rows(machine: Machine, job_id: str) -> list[int]:
    reader = MetricReader(machine.run(job_id).training_metrics)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def restart(machine: Machine) -> None:
    machine.kill()
    machine.start()


def stay(machine: Machine) -> None:
    """The same supervisor goes on."""


def remove_lock(run: RunDirectory) -> None:
    run.lock.unlink()


def remake_lock(run: RunDirectory) -> None:
    run.lock.unlink()
    run.lock.touch()


def remove_lock_and_identity(run: RunDirectory) -> None:
    run.lock.unlink()
    run.identity.unlink()


def falsify_identity(run: RunDirectory) -> None:
    run.lock.unlink()
    run.identity.write_text(run.identity.read_text().replace('"pid"', '"pod"'))


def make_lock_a_directory(run: RunDirectory) -> None:
    run.lock.unlink()
    run.lock.mkdir()


@pytest.mark.parametrize("then", [stay, restart])
@pytest.mark.parametrize(
    "harm", [remove_lock, remake_lock, remove_lock_and_identity, falsify_identity, make_lock_a_directory]
)
def test_a_job_that_lost_its_lock_trains_on_alone_and_is_asked_as_before(
    machine: Machine, harm: Callable[[RunDirectory], None], then: Callable[[Machine], None]
) -> None:
    machine.start()
    job = running(machine)
    waiting = machine.submit(steps=1)
    processes = machine.processes(job.id)
    harm(machine.run(job.id))
    then(machine)
    assert answers_at_once(machine)
    machine.until_step(job.id, machine.job(job.id).step + 30)
    assert machine.job(job.id).status is Status.RUNNING and machine.job(waiting.id).status is Status.QUEUED
    eventually(lambda: asked_to_pause(machine, job.id))
    machine.until(job.id, Status.PAUSED)
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert not any(lives(pid) for pid in processes)
    assert rows(machine, job.id) == list(range(1, stopped.step + 1))
    machine.until(waiting.id, Status.COMPLETED)


def asked_to_pause(machine: Machine, job_id: str) -> bool:
    """Pause it; sent again until the trainer is known, where the kernel had to be asked for it."""
    if machine.job(job_id).state == "running":
        machine.pause(job_id)
    return machine.job(job_id).state in ("pausing", "paused")


@pytest.mark.parametrize("then", [stay, restart])
@pytest.mark.parametrize("hold", [False, True])
def test_a_job_whose_directory_is_removed_is_ended_and_fails_with_that_word_before_another_starts(
    machine: Machine, then: Callable[[Machine], None], hold: bool
) -> None:
    machine.start()
    job = running(machine, trainer.DEAF if not hold else trainer.WELL)
    if hold:
        machine.pause(job.id)
        machine.until(job.id, Status.PAUSED)
    waiting = machine.submit(steps=1)
    _, training = machine.processes(job.id)
    remove(machine.run(job.id))
    then(machine)
    assert answers_at_once(machine)
    failed = machine.until(job.id, Status.FAILED)
    assert not lives(training)
    assert failed.error is not None and failed.error.kind == "home" and "is gone" in failed.error.message
    assert (machine.until(waiting.id, Status.COMPLETED).started_at or "") >= (failed.ended_at or "?")
    for again in (machine.resume, lambda job_id: ask(RetryJobs((job_id,)), machine.home)):
        with pytest.raises(HomeError, match="is gone"):
            again(job.id)
    assert not machine.run(job.id).path.exists(), "nothing made it anew"
    ask(DeleteJobs((job.id,)), machine.home)


@pytest.mark.parametrize("then", [stay, restart])
def test_a_job_whose_directory_is_moved_away_saves_there_and_ends(
    machine: Machine, then: Callable[[Machine], None]
) -> None:
    machine.start()
    job = running(machine)
    waiting = machine.submit(steps=1)
    elsewhere = RunDirectory(machine.home.root / "elsewhere")
    machine.run(job.id).path.rename(elsewhere.path)
    then(machine)
    assert answers_at_once(machine)
    failed = machine.until(job.id, Status.FAILED)
    assert failed.error is not None and failed.error.kind == "home"
    machine.until(waiting.id, Status.COMPLETED)
    (saved,) = list_checkpoints(elsewhere.checkpoints)
    elsewhere.path.rename(machine.run(job.id).path)
    machine.resume(job.id)
    machine.until_step(job.id, saved.step + 5)
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert rows(machine, job.id) == list(range(1, stopped.step + 1))


def test_a_directory_that_is_put_on_another_place_of_the_disk_and_linked_back_is_the_same(machine: Machine) -> None:
    machine.start()
    job = running(machine)
    processes = machine.processes(job.id)
    elsewhere = machine.home.root / "elsewhere"
    machine.run(job.id).path.rename(elsewhere)
    machine.run(job.id).path.symlink_to(elsewhere)
    machine.until_step(job.id, machine.job(job.id).step + 30)
    restart(machine)
    machine.until_step(job.id, machine.job(job.id).step + 30)
    assert machine.processes(job.id) == processes
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert rows(machine, job.id) == list(range(1, stopped.step + 1))


@pytest.mark.parametrize("then", [stay, restart])
def test_a_directory_that_is_made_anew_is_not_the_one_that_the_job_trains_in(
    machine: Machine, then: Callable[[Machine], None]
) -> None:
    machine.start()
    job = running(machine, trainer.DEAF)
    waiting = machine.submit(steps=1)
    _, training = machine.processes(job.id)
    backup = machine.home.root / "backup"
    shutil.copytree(machine.run(job.id).path, backup)
    remove(machine.run(job.id))
    shutil.copytree(backup, machine.run(job.id).path)
    then(machine)
    failed = machine.until(job.id, Status.FAILED)
    assert not lives(training)
    assert failed.error is not None
    machine.until(waiting.id, Status.COMPLETED)
    assert (machine.run(job.id).path / "spec.json").is_file()


def test_jobs_whose_directories_change_places_do_not_train_in_each_others(machine: Machine) -> None:
    machine.start()
    one, other = running(machine), machine.submit(device="cuda")
    machine.until_step(other.id, 5)
    between = machine.home.root / "between"
    for source, target in (
        (machine.run(one.id).path, between),
        (machine.run(other.id).path, machine.run(one.id).path),
        (between, machine.run(other.id).path),
    ):
        source.rename(target)
    for job in (one, other):
        machine.until(job.id, Status.FAILED)
    machine.resume(one.id)
    error = machine.until(one.id, Status.FAILED).error
    assert error is not None and f"job {other.id} is in the place" in error.message
    with pytest.raises(HomeError, match=f"job {other.id} is in the place"):
        delete(machine, one.id)
    machine.run(one.id).path.rename(between)
    machine.run(other.id).path.rename(machine.run(one.id).path)
    between.rename(machine.run(other.id).path)
    delete(machine, other.id)
    machine.resume(one.id)
    machine.until_step(one.id, machine.job(one.id).step + 5)
    machine.stop(one.id)
    stopped = machine.until(one.id, Status.STOPPED)
    assert rows(machine, one.id) == list(range(1, stopped.step + 1))


def test_a_process_that_is_no_trainer_is_never_signalled_whatever_identity_json_says(machine: Machine) -> None:
    machine.start()
    job = running(machine, trainer.DEAF)
    machine.kill()
    for pid in machine.processes(job.id):
        os.kill(pid, signal.SIGKILL)
    run = machine.run(job.id)
    run.exit.unlink(missing_ok=True)
    with subprocess.Popen(["sleep", "60"], cwd=run.path) as innocent:
        who = identify(innocent.pid)
        assert who is not None
        run.identity.write_bytes(msgspec.json.encode(Identities(runner=who, trainer=who)))
        machine.start()
        machine.until(job.id, Status.FAILED)
        assert innocent.poll() is None
        innocent.kill()


def test_an_orphan_whose_directory_was_removed_under_nobodys_eyes_is_ended_before_another_starts(
    machine: Machine,
) -> None:
    machine.start()
    job = running(machine, trainer.DEAF)
    waiting = machine.submit(steps=1)
    runner, training = machine.processes(job.id)
    machine.kill()
    os.kill(runner, signal.SIGKILL)
    remove(machine.run(job.id))
    machine.start()
    failed = machine.until(job.id, Status.FAILED)
    assert not lives(training)
    assert (machine.until(waiting.id, Status.COMPLETED).started_at or "") >= (failed.ended_at or "?")


@pytest.mark.parametrize("then", [stay, restart])
def test_a_job_whose_directory_is_removed_while_it_waits_fails_with_that_word(
    machine: Machine, then: Callable[[Machine], None]
) -> None:
    machine.start()
    blocker, queued, paused = running(machine), machine.submit(), machine.submit()
    machine.pause(paused.id)
    for job in (queued, paused):
        remove(machine.run(job.id))
    then(machine)
    for job in (queued, paused):
        error = machine.until(job.id, Status.FAILED).error
        assert error is not None and error.kind == "home"
    machine.stop(blocker.id)
    machine.until(blocker.id, Status.STOPPED)


def test_a_job_whose_directory_is_removed_while_it_stops_fails_with_that_word(machine: Machine) -> None:
    machine.start()
    job = running(machine, trainer.DEAF)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPING)
    remove(machine.run(job.id))
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and error.kind == "home"


def test_a_job_that_is_thought_to_have_ended_is_not_started_beside_its_living_trainer(machine: Machine) -> None:
    machine.start()
    job = running(machine)
    machine.kill()
    run = machine.run(job.id)
    remove_lock_and_identity(run)
    machine.call_failed(job.id)
    machine.start()
    assert machine.job(job.id).status is Status.FAILED
    _, training = machine.living(job.id)
    for again in (machine.resume, partial(retry, machine), partial(delete, machine)):
        with pytest.raises(Conflict, match=f"still lives.*{training}|still lives"):
            again(job.id)
    os.kill(training, signal.SIGTERM)
    eventually(lambda: not lives(training))
    eventually(lambda: not machine.living(job.id))
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    stopped = machine.until(job.id, Status.STOPPED)
    assert rows(machine, job.id) == list(range(1, stopped.step + 1))


def retry(machine: Machine, job_id: str) -> None:
    ask(RetryJobs((job_id,)), machine.home)


def delete(machine: Machine, job_id: str) -> None:
    ask(DeleteJobs((job_id,)), machine.home)


def test_without_a_supervisor_a_trainer_whose_directory_is_removed_ends_by_itself(machine: Machine) -> None:
    machine.start()
    job = running(machine, trainer.DEAF)
    processes = machine.processes(job.id)
    machine.kill()
    remove(machine.run(job.id))
    eventually(lambda: not any(lives(pid) for pid in processes))


def test_a_queued_job_whose_spec_was_removed_is_not_started_and_says_so(machine: Machine) -> None:
    machine.start()
    first = running(machine)
    waiting = machine.submit(steps=1)
    machine.run(waiting.id).spec.unlink()
    machine.stop(first.id)
    failed = machine.until(waiting.id, Status.FAILED)
    assert failed.error is not None and failed.error.kind == "home"
    assert "spec.json" in failed.error.message
    assert not machine.run(waiting.id).identity.exists(), "no process was started"
