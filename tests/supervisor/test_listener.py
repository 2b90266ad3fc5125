"""A supervisor that has few file descriptors, or none left, serves whom it can, says so to the others, and lives."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from saetui.client.asyncio_client import AsyncioClient
from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.errors import SupervisorError
from saetui.jobs.job import Status
from saetui.protocol.framing import TO_CLIENT_LIMIT, TO_SUPERVISOR_LIMIT, FrameDecoder, encode, from_supervisor
from saetui.protocol.messages import DeviceChanged, Event, Failure, FromSupervisor, GetStatus, Hello, Welcome
from saetui.supervisor.listener import CLIENT_LIMIT, FEWEST_CLIENTS, client_limit
from tests.conditions import eventually, lives
from tests.reliability.machine import descriptors_of
from tests.supervisor.conftest import Machine


def first_answer(client: socket.socket) -> FromSupervisor | None:
    """The answer of the supervisor to a greeting; None when it ends the connection without one."""
    decoder = FrameDecoder(TO_CLIENT_LIMIT)
    client.settimeout(20)
    while data := client.recv(1 << 16):
        if payloads := decoder.feed(data):
            return from_supervisor(payloads[0])
    return None


def many_clients(machine: Machine, number: int) -> list[socket.socket]:
    clients = []
    for _ in range(number):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(machine.home.socket))
        # One that is turned away has its answer waiting already.
        with contextlib.suppress(BrokenPipeError):
            client.sendall(encode(Hello(client="one of many"), TO_SUPERVISOR_LIMIT))
        clients.append(client)
    return clients


def test_a_hundred_clients_and_64_descriptors(machine: Machine) -> None:
    machine.files = 64
    pid = machine.start()
    clients = many_clients(machine, 100)
    answers = [first_answer(client) for client in clients]
    served = sum(isinstance(answer, Welcome) for answer in answers)
    refused = [answer for answer in answers if isinstance(answer, Failure)]
    # The test's own check whether the supervisor is there may still have held a place.
    assert served in (23, 24) and served + len(refused) == 100, "nobody is left without an answer"
    assert all("as many clients as it can serve" in answer.message and answer.kind == "busy" for answer in refused)
    for client in clients:
        client.close()
    # The device is sampled and jobs are started as ever.
    assert eventually(lambda: _status(machine)) == pid
    with BlockingClient.connect(machine.home) as watching:
        assert any(isinstance(news, Event) and isinstance(news.change, DeviceChanged) for news in watching.news())
    machine.until(machine.submit(steps=2).id, Status.COMPLETED)
    assert "Traceback" not in machine.home.supervisor_log.read_text()


def test_a_supervisor_without_any_descriptor_left_says_so_and_recovers(machine: Machine) -> None:
    pid = machine.start()
    with BlockingClient.connect(machine.home) as watching:
        news = watching.news()
        next(news)
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # Less than it has open already: whatever wants one more is refused. A reading of the device opens files for a moment.
        fewest = min(_slowly(lambda: descriptors_of(pid), times=50))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (fewest - 2, limits[1]))
        clients = many_clients(machine, 30)
        answers = [first_answer(client) for client in clients]
        assert all(isinstance(answer, Failure) for answer in answers)
        assert "no file descriptor left" in str(answers[0])
        with pytest.raises(SupervisorError, match="no file descriptor left"):
            ask(GetStatus(), machine.home, start=False)
        with pytest.raises(SupervisorError, match="no file descriptor left"):
            asyncio.run(AsyncioClient.connect(machine.home))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        for client in clients:
            client.close()
    status = eventually(lambda: _status(machine))
    assert status == pid
    log = machine.home.supervisor_log.read_text()
    assert log.count("clients are turned away") < 3, "one line, not one for each"
    machine.until(machine.submit(steps=2).id, Status.COMPLETED)


def _slowly(read: Callable[[], int], times: int) -> Iterator[int]:
    for _ in range(times):
        yield read()
        time.sleep(0.01)


def _status(machine: Machine) -> int | None:
    try:
        return ask(GetStatus(), machine.home, start=False).pid
    except SupervisorError:
        return None


def test_the_number_of_clients_follows_the_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for soft, expected in ((1024, CLIENT_LIMIT), (64, 24), (32, FEWEST_CLIENTS)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before[1]), before[1]))
            assert client_limit() == expected
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_job_that_ends_while_no_descriptor_is_left_is_not_judged_before_it_can_be_read(machine: Machine) -> None:
    pid = machine.start()
    job = machine.submit(steps=150)
    machine.until_step(job.id, 1)
    runner, trainer = machine.processes(job.id)
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    eventually(lambda: "Too many open files" in machine.home.supervisor_log.read_text())
    eventually(lambda: not lives(trainer) and not lives(runner))
    assert machine.supervisor is not None and machine.supervisor.poll() is None
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert eventually(lambda: _status(machine)) == pid
    assert machine.until(job.id, Status.COMPLETED, Status.FAILED).status is Status.COMPLETED
