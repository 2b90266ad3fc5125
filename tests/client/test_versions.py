"""One version back is understood, in both directions; what cannot be done then is said with the way out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from saetui.client.asyncio_client import AsyncioClient
from saetui.client.blocking_client import BlockingClient
from saetui.errors import ProtocolError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.framing import LENGTH_BYTES
from saetui.protocol.messages import GetJobs, PauseJobs, Submit
from tests.protocol import version_1
from tests.supervisor.conftest import Machine

_DECODER = msgspec.json.Decoder(version_1.FromSupervisor)


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def read(stream: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(stream, LENGTH_BYTES), "big")
    return _exactly(stream, length)


def _exactly(stream: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        assert part, "the connection ended"
        data += part
    return data


def test_a_client_of_version_1_follows_everything_that_clients_of_version_2_do(machine: Machine) -> None:
    machine.start()
    with socket.socket(socket.AF_UNIX) as old:
        old.settimeout(20)
        old.connect(str(machine.home.socket))
        old.sendall(frame(version_1.HELLO) + frame(version_1.SUBSCRIBE))
        welcome = _DECODER.decode(read(old))
        assert isinstance(welcome, version_1.Welcome) and welcome.version == 1
        snapshot = _DECODER.decode(read(old))
        assert isinstance(snapshot, version_1.Reply) and isinstance(snapshot.result, version_1.Snapshot)
        job = machine.submit(name="mine")
        machine.until_step(job.id, 2)
        machine.prefer(theme="nord")
        machine.pause(job.id)
        machine.until(job.id, Status.PAUSED)
        machine.resume(job.id)
        machine.until(job.id, Status.RUNNING)
        machine.stop(job.id)
        machine.until(job.id, Status.STOPPED)
        seen: list[str] = []
        number = 0
        while "stopped" not in seen:
            message = _DECODER.decode(read(old))
            assert isinstance(message, version_1.Event) and message.seq == number + 1
            number = message.seq
            if isinstance(message.change, version_1.JobChanged):
                seen.append(message.change.job.status)
        assert list(dict.fromkeys(seen)) == ["queued", "starting", "running", "paused", "stopping", "stopped"]
        old.sendall(frame(version_1.GET_JOBS))
        while isinstance(message := _DECODER.decode(read(old)), version_1.Event):
            pass
        assert isinstance(message, version_1.Reply) and isinstance(message.result, version_1.ManyJobs)


@pytest.fixture
def old_supervisor(tmp_path: Path) -> Iterator[Home]:
    """A supervisor of version 1: it greets, and answers every request with no jobs."""
    home = Home(tmp_path / "home")
    home.make_socket_directory()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(home.socket))
    listening.listen()

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                hello = msgspec.json.decode(read(client))
                assert hello["oldest"] <= 1 <= hello["newest"]
                client.sendall(frame(b'{"type":"welcome","version":1,"saetui":"0.1.0","pid":1}'))
                try:
                    while True:
                        number = msgspec.json.decode(read(client))["id"]
                        empty = b'{"type":"reply","id":%d,"result":{"type":"many_jobs","jobs":[]}}' % number
                        client.sendall(frame(empty))
                except (AssertionError, ConnectionError):
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield home
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()
    home.socket.unlink()


def test_an_older_supervisor_is_asked_what_it_knows_and_nothing_else(old_supervisor: Home) -> None:
    with BlockingClient.connect(old_supervisor) as client:
        assert client.request(GetJobs()).jobs == ()
        with pytest.raises(ProtocolError, match="older") as caught:
            client.request(PauseJobs(("a",)))
        assert "saetui supervisor stop" in (caught.value.suggestion or "")
        with pytest.raises(ProtocolError, match="older"):
            client.request(Submit({}, after="b"))
        assert client.request(GetJobs()).jobs == ()


async def test_the_screens_connection_knows_it_too(old_supervisor: Home) -> None:
    async with await AsyncioClient.connect(old_supervisor) as client:
        with pytest.raises(ProtocolError, match="older"):
            await client.request(PauseJobs(("a",)))
        assert (await client.request(GetJobs())).jobs == ()
