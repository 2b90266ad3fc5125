from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from saetui.client.asyncio_client import AsyncioClient
from saetui.client.lifecycle import stop_supervisor
from saetui.client.link import Link, Unreachable
from saetui.errors import Conflict, HomeError, NotFound, SupervisorError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import (
    DeviceChanged,
    Event,
    GetJob,
    GetJobs,
    GetStatus,
    JobChanged,
    Snapshot,
    StopJobs,
    Submit,
)
from tests.supervisor.conftest import Machine


async def until_status(updates: AsyncIterator[Snapshot | Event | Unreachable], status: Status) -> None:
    async for message in updates:
        if isinstance(message, Event) and isinstance(message.change, JobChanged):
            if message.change.job.status is status:
                return
        elif isinstance(message, Snapshot) and any(job.status is status for job in message.jobs):
            return


async def test_requests_may_be_made_at_once_and_each_gets_its_own_answer(machine: Machine) -> None:
    machine.start()
    async with await AsyncioClient.connect(machine.home) as client:
        jobs, status, missing = await asyncio.gather(
            client.request(GetJobs()),
            client.request(GetStatus()),
            client.request(GetJob("nothing")),
            return_exceptions=True,
        )
        assert not isinstance(jobs, BaseException) and jobs.jobs == ()
        assert not isinstance(status, BaseException) and status.pid == client.supervisor_pid == machine.pid
        assert isinstance(missing, NotFound)


async def test_a_subscription_ends_with_an_error_when_the_supervisor_does(machine: Machine) -> None:
    machine.start()
    async with await AsyncioClient.connect(machine.home) as client:
        news = client.news()
        assert isinstance(await anext(news), Snapshot)
        machine.kill()
        with pytest.raises(SupervisorError):
            async for _ in news:
                pass
        with pytest.raises(SupervisorError):
            await client.request(GetJobs())


async def test_a_link_shows_the_same_job_further_along_after_the_supervisor_was_killed(machine: Machine) -> None:
    machine.start()
    link = Link(machine.home)
    updates = link.updates()
    assert isinstance(await anext(updates), Snapshot)
    job = (await link.request(Submit(machine.spec()))).job
    await until_status(updates, Status.RUNNING)
    machine.kill()
    async for message in updates:
        if isinstance(message, Unreachable):
            break
    message = await anext(updates)
    assert isinstance(message, Snapshot)
    (found,) = message.jobs
    assert found.id == job.id and found.status is Status.RUNNING
    await link.request(StopJobs((job.id,)))
    await until_status(updates, Status.STOPPED)
    with pytest.raises(Conflict):
        await link.request(StopJobs((job.id,)))
    await link.close()
    assert [message async for message in updates if isinstance(message, Snapshot)] == []
    stop_supervisor(machine.home)


async def test_a_link_that_cannot_start_a_supervisor_says_so_and_goes_on_trying(machine: Machine) -> None:
    machine.home.root.parent.joinpath("file").write_text("")
    link = Link(Home(machine.home.root.parent / "file" / "home"))
    updates = link.updates()
    for _ in range(2):
        message = await anext(updates)
        assert isinstance(message, Unreachable) and isinstance(message.error, HomeError)
    await link.close()
    assert [message async for message in updates] == []


async def test_the_device_is_read_while_someone_looks(machine: Machine) -> None:
    machine.start()
    async with await AsyncioClient.connect(machine.home) as client:
        async for message in client.news():
            if isinstance(message, Event) and isinstance(message.change, DeviceChanged):
                reading = message.change.reading
                break
    assert reading.name and reading.memory_total
    for figure in ("load", "memory_used", "memory_total", "temperature", "power"):
        assert (getattr(reading, figure) is None) == (figure in reading.missing)
