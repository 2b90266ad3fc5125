"""A list of many jobs of many sites is whole, whatever it takes: nothing is left out to fit into a frame."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from saetui.client.asyncio_client import AsyncioClient
from saetui.client.blocking import ask, connect
from saetui.jobs.job import Job, Status
from saetui.protocol.framing import TO_CLIENT_LIMIT, TO_SUPERVISOR_LIMIT, encode
from saetui.protocol.messages import (
    Event,
    Failure,
    GetJobs,
    GetStatus,
    Hello,
    JobChanged,
    JobsPart,
    Reply,
    Snapshot,
    Subscribe,
    Welcome,
)
from saetui.supervisor.store import Store
from tests.supervisor.conftest import Machine
from tests.supervisor.test_socket import Raw, memory_kib
from tests.supervisor.test_store import record

FIGURES = ("loss", "fvu", "l0", "dead", "dead_fraction", "learning_rate", "grad_norm", "eval_fvu", "eval_l0", "tokens")
MANY, SITES = 600, 64


@pytest.fixture
def jobs(machine: Machine) -> list[Job]:
    """Ended jobs of 64 sites each, over 10 MB in all, in the store of a supervisor that runs."""
    machine.home.make()
    records = []
    for number in range(MANY):
        metrics = {f"layer_{site}.resid_post": dict.fromkeys(FIGURES, number + site / 7) for site in range(SITES)}
        made = record(number, Status.COMPLETED)
        directory = machine.home.runs / made.job.id
        directory.mkdir()
        job = msgspec.structs.replace(
            made.job,
            metrics=metrics,
            layers=tuple(range(SITES)),
            directory=str(directory),
            created_at=f"2026-11-21T{number:06d}",
        )
        records.append(msgspec.structs.replace(made, job=job))
    Store(machine.home.store).save_jobs(records)
    machine.start()
    return [made.job for made in records]


def test_the_list_and_the_snapshot_have_every_job_with_its_metrics(machine: Machine, jobs: list[Job]) -> None:
    assert len(msgspec.json.encode(jobs)) > 2 * TO_CLIENT_LIMIT
    assert list(ask(GetJobs(), machine.home, start=False).jobs) == jobs
    with connect(machine.home, start=False) as client:
        snapshot = next(client.news())
    assert isinstance(snapshot, Snapshot) and list(snapshot.jobs) == jobs


def test_changes_follow_the_snapshot_that_came_in_parts(machine: Machine, jobs: list[Job]) -> None:
    with connect(machine.home, start=False) as client:
        news = client.news()
        next(news)
        made = machine.submit(steps=1)
        changes = (item.change for item in news if isinstance(item, Event))
        changed = next(change for change in changes if isinstance(change, JobChanged))
        assert changed.job.id == made.id


async def test_both_clients_see_the_same(machine: Machine, jobs: list[Job]) -> None:
    client = await AsyncioClient.connect(machine.home)
    snapshot = await asyncio.wait_for(anext(aiter(client.news())), 20)
    await client.close()
    assert isinstance(snapshot, Snapshot) and list(snapshot.jobs) == jobs


def test_one_who_reads_slowly_makes_the_supervisor_keep_one_part(machine: Machine, jobs: list[Job]) -> None:
    ask(GetStatus(), machine.home, start=False)
    before = memory_kib(machine.pid)
    slow = [Raw(machine) for _ in range(8)]
    for client in slow:
        client.greet()
        client.send(encode(Subscribe(id=1), TO_SUPERVISOR_LIMIT))
    assert ask(GetStatus(), machine.home, start=False).clients == 1 + len(slow)
    assert memory_kib(machine.pid) - before < 8 * 4 * 1024, "eight snapshots would be over 100 MB"
    for client in slow:
        found: list[Job] = []
        while isinstance(message := client.next(), JobsPart):
            found += message.jobs
        assert isinstance(message, Reply) and isinstance(message.result, Snapshot)
        assert found == jobs
        client.close()


def test_a_client_that_knows_no_parts_is_told_so(machine: Machine, jobs: list[Job]) -> None:
    old = Raw(machine)
    old.send(encode(Hello(client="old", newest=2), TO_SUPERVISOR_LIMIT))
    welcome = old.next()
    assert isinstance(welcome, Welcome) and welcome.version == 2
    old.send(encode(GetJobs(id=1), TO_SUPERVISOR_LIMIT))
    answer = old.next()
    assert isinstance(answer, Failure) and answer.id == 1
    assert answer.suggestion == "Leave this client and start it again: the supervisor is newer."
    old.close()
