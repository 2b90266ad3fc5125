"""Whoever is killed, at whatever moment: no job is lost, none runs twice, and how it ended is known."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from saetui.client.blocking import ask
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs
from tests.reliability.machine import INTERVAL, STEPS, Hold, ReliableMachine, check_job, rows_of

VICTIMS = ("client", "supervisor", "runner", "trainer")
MOMENTS = {
    "starting": ("events.append", 1),
    "running": ("metrics.append", 2 * 25),
    "mid-checkpoint": ("checkpoint.rename", 2),
    # Made, submitted, starting, running: the fourth write.
    "mid-store-write": ("store.rename", 4),
    "stopping": ("manifest.rename", 3),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_kill_loses_nothing_and_the_end_is_known(
    machine: ReliableMachine, hold: Hold, victim: str, moment: str
) -> None:
    machine.failpoints = hold.at(*MOMENTS[moment])
    machine.start()
    client = machine.start_client(steps=1000 if moment == "stopping" else STEPS)
    assert client.stdout is not None
    job_id = client.stdout.readline().strip()
    asked_to_stop = moment == "stopping"
    hold.wait()
    if asked_to_stop:
        machine.stop(job_id)
        machine.until(job_id, Status.STOPPING)
    kill(machine, client, job_id, victim)
    hold.let_go()
    if victim == "supervisor":
        machine.start()
    ended = machine.until_ended(job_id)
    assert [job.id for job in ask(GetJobs(), machine.home, start=False).jobs] == [job_id]
    # What was written after the newest checkpoint is cut when the job goes on, not before.
    rows = rows_of(machine, job_id)
    assert rows == list(range(1, len(rows) + 1))
    if victim == "trainer":
        assert ended.status is Status.FAILED
        assert ended.error is not None and (ended.error.kind, "SIGKILL" in ended.error.message) == ("killed", True)
    else:
        assert ended.status is (Status.STOPPED if asked_to_stop else Status.COMPLETED), ended.error
        assert ended.step == rows[-1]
        check_job(machine, ended)
    assert sum(event.kind == "started" for event in machine.events(job_id)) == (
        0 if victim == "trainer" and moment == "starting" else 1
    )
    if victim != "client":
        # The client that followed it came to the same end, over a new supervisor where the first was killed.
        out, _ = client.communicate(timeout=20)
        assert out.splitlines()[-1].split()[0] == ended.status.value


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_training_goes_on_to_the_very_result_of_one_that_was_never_disturbed(
    machine: ReliableMachine, hold: Hold, moment: str
) -> None:
    machine.failpoints = hold.at(*MOMENTS[moment])
    machine.start()
    client = machine.start_client()
    assert client.stdout is not None
    job_id = client.stdout.readline().strip()
    hold.wait()
    kill(machine, client, job_id, "trainer")
    hold.let_go()
    machine.until_ended(job_id)
    machine.resume(job_id)
    done = machine.until(job_id, Status.COMPLETED, Status.FAILED, Status.LOST)
    assert (done.status, done.step) == (Status.COMPLETED, STEPS)
    check_job(machine, done)
    started = [event.step for event in machine.events(job_id) if event.kind == "started"]
    assert len(started) == (1 if moment == "starting" else 2)
    assert started[-1] is not None and started[-1] % INTERVAL == 0


@pytest.mark.parametrize(
    "point",
    ["run.rename", "file.rename@2", "store.previous@2", "store.fsync@2", "store.rename@2", "store.directory@2",
     "connection.send@2", "store.rename@3", "launch.spawn", "launch.spawned", "store.rename@4", "store.rename@5"],
)  # fmt: skip
def test_a_supervisor_that_dies_at_any_of_its_own_points_loses_no_job_that_was_acknowledged_and_runs_none_twice(
    machine: ReliableMachine, hold: Hold, point: str
) -> None:
    name, _, hit = point.partition("@")
    machine.failpoints = f"{name}=kill@{hit or 1}!{hold.path}.token"
    machine.start()
    client = machine.start_client()
    assert client.stdout is not None and machine.supervisor is not None
    assert machine.supervisor.wait(20) == -signal.SIGKILL
    machine.start()
    acknowledged = client.stdout.readline().strip()
    jobs = ask(GetJobs(), machine.home, start=False).jobs
    if acknowledged:
        assert [job.id for job in jobs] == [acknowledged]
    assert len(jobs) <= 1
    assert sorted(path.name for path in machine.home.runs.iterdir()) == [job.id for job in jobs]
    for job in jobs:
        done = machine.until_ended(job.id)
        assert done.status is Status.COMPLETED, done.error
        check_job(machine, done)
        assert [event.kind for event in machine.events(job.id)].count("started") == 1


def kill(machine: ReliableMachine, client: subprocess.Popen[str], job_id: str, victim: str) -> None:
    if victim == "client":
        client.kill()
        client.wait()
    elif victim == "supervisor":
        machine.kill()
    else:
        os.kill(machine.processes(job_id)[0 if victim == "runner" else 1], signal.SIGKILL)
