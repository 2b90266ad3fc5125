"""A runner and a trainer that were started before the update of saetui obey the supervisor after it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from saetui.child_processes import child_environment
from saetui.jobs.job import Job, Status
from saetui.launch.locks import try_lock
from saetui.launch.presence import JOB_VARIABLE
from tests.conditions import eventually, lives
from tests.supervisor.conftest import Machine

DATA = Path(__file__).parent / "data"


def started_before_the_update(machine: Machine) -> Job:
    """A job that runs in the runner and trainer of before, with the command line and environment of before."""
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    pids = machine.processes(job.id)
    machine.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(lives, pids)))
    run = machine.run(job.id)
    for name in ("events.jsonl", "identity.json", "exit.json", "control.json"):
        (run.path / name).unlink(missing_ok=True)
    for directory in (run.metrics, run.checkpoints):
        shutil.rmtree(directory)
        directory.mkdir()
    lock = eventually(lambda: try_lock(run.lock))
    assert lock is not None
    trainer = [sys.executable, str(DATA / "trainer_before_update.py"), str(run.path)]
    with open(run.log, "ab") as log:
        subprocess.Popen(
            [sys.executable, "-I", "-S", str(DATA / "runner_before_update.py"), str(run.path), "--", *trainer],
            stderr=log,
            cwd=run.path,
            env={**child_environment(machine.home), JOB_VARIABLE: job.id},
            pass_fds=(lock,),
            start_new_session=True,
        )
    os.close(lock)
    eventually(run.identity.exists)
    machine.start()
    return machine.until(job.id, Status.RUNNING)


def wish(machine: Machine, job: Job) -> str:
    return str(json.loads((machine.run(job.id).path / "control.json").read_text())["wish"])


def test_it_is_followed_paused_resumed_and_stopped(machine: Machine) -> None:
    job = started_before_the_update(machine)
    _, trainer = machine.processes(job.id)
    machine.pause(job.id)
    machine.until(job.id, Status.PAUSED)
    assert wish(machine, job) == "pause" and lives(trainer)
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    assert wish(machine, job) == "run" and lives(trainer)
    machine.stop(job.id)
    assert machine.until(job.id, Status.STOPPED).error is None
    assert not lives(trainer)


def test_it_frees_its_memory_and_its_job_goes_on_in_the_new_one(machine: Machine) -> None:
    job = started_before_the_update(machine)
    machine.pause(job.id, unload=True)
    eventually(lambda: machine.job(job.id).unloaded)
    assert machine.job(job.id).status is Status.PAUSED
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_its_end_is_recorded_when_it_is_killed(machine: Machine) -> None:
    job = started_before_the_update(machine)
    os.kill(machine.processes(job.id)[1], signal.SIGKILL)
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and error.message == "The trainer was killed by SIGKILL."
