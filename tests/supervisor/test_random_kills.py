from __future__ import annotations

import os
import random
import signal
import time

import pytest

from saetui.client.blocking import ask
from saetui.client.lifecycle import ensure_supervisor, holder_of, stop_supervisor
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs, Submit
from saetui.rundir.events import read_events
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually
from tests.supervisor.conftest import Machine


@pytest.mark.parametrize("seed", [1])
def test_supervisors_killed_at_random_moments_lose_no_job_and_run_none_twice(machine: Machine, seed: int) -> None:
    """Every job that was acknowledged runs to its end exactly once, whenever the supervisor is killed."""
    chance = random.Random(seed)
    submitted: list[str] = []
    for _ in range(5):
        machine.start()
        for _ in range(2):
            name = f"job {len(submitted)}"
            device = f"cuda:{len(submitted) % 3}"
            spec = machine.spec(steps=chance.randint(1, 40), name=name, device=device)
            submitted.append(ask(Submit(spec), machine.home, start=False).job.id)
        # The moment is what is tested: any moment is as good as another.
        time.sleep(chance.uniform(0, 0.4))
        machine.kill()
    machine.start()
    for job_id in submitted:
        job = machine.until(job_id, Status.COMPLETED)
        reader = MetricReader(machine.run(job_id).training_metrics)
        reader.poll()
        assert [step for step, _, _ in reader.rows()] == list(range(1, job.step + 1))
        kinds = [event.kind for event in read_events(machine.run(job_id).events)]
        assert kinds.count("started") == kinds.count("ended") == 1
    assert [job.id for job in ask(GetJobs(), machine.home).jobs] == submitted


def test_a_supervisor_killed_again_and_again_while_clients_start_it_stays_one(machine: Machine) -> None:
    pids = set()
    for _ in range(5):
        ensure_supervisor(machine.home)
        pid = holder_of(machine.home)
        assert pid is not None and pid not in pids
        pids.add(pid)
        os.kill(pid, signal.SIGKILL)
        # Its lock and its socket are held until the last of its threads is gone, a moment after the first.
        eventually(lambda: holder_of(machine.home) is None)
    ensure_supervisor(machine.home)
    eventually(lambda: len(machine.mine()) == 1)
    stop_supervisor(machine.home)
