from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from saetui.child_processes import child_environment
from saetui.client.blocking import ask
from saetui.client.blocking_client import BlockingClient
from saetui.client.lifecycle import holder_of, reachable
from saetui.errors import SaetuiError
from saetui.jobs.job import Status
from saetui.protocol.framing import TO_CLIENT_LIMIT, TO_SUPERVISOR_LIMIT, FrameDecoder, encode, frame, from_supervisor
from saetui.protocol.messages import (
    DirectoryChanged,
    Event,
    Failure,
    FromSupervisor,
    GetJobs,
    GetStatus,
    Hello,
    JobChanged,
    Reply,
    Snapshot,
    Subscribe,
    Welcome,
)
from tests.conditions import eventually
from tests.supervisor.conftest import Machine


class Raw:
    """A client that may say anything."""

    def __init__(self, machine: Machine) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(machine.home.socket))
        self._decoder = FrameDecoder(TO_CLIENT_LIMIT)
        self._messages: list[FromSupervisor] = []

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def greet(self) -> None:
        self.send(encode(Hello(client="test"), TO_SUPERVISOR_LIMIT))
        assert isinstance(self.next(), Welcome)

    def next(self) -> FromSupervisor | None:
        """The next message; None at the end."""
        while not self._messages:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._messages = [from_supervisor(payload) for payload in self._decoder.feed(data)]
        return self._messages.pop(0)

    def close(self) -> None:
        self.socket.close()


def memory_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_a_second_supervisor_says_who_serves_the_home(machine: Machine) -> None:
    pid = machine.start()
    second = subprocess.run(
        [sys.executable, "-m", "saetui.supervisor"],
        env=child_environment(machine.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert f"Another supervisor (pid {pid})" in second.stderr
    assert ask(GetStatus(), machine.home).pid == pid


def test_the_socket_is_for_this_user_alone(machine: Machine) -> None:
    machine.start()
    assert stat.S_IMODE(machine.home.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(machine.home.socket_directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(machine.home.supervisor_log.stat().st_mode) == 0o600


def test_another_user_is_refused(machine: Machine) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    machine.start()
    # The directory of the sockets is shared with every other test of this user, so it stays closed: the other user finds
    # its way in with root's rights to files (its fsuid), and connects as itself.
    program = (
        "import ctypes, os, socket, sys; os.setegid(65534); os.seteuid(65534); ctypes.CDLL(None).setfsuid(0)\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n"
        "try: print(len(s.recv(100)))\n"
        "except ConnectionResetError: print(0)"
    )
    command = [sys.executable, "-I", "-c", program, str(machine.home.socket)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert result.stdout == "0\n", result.stderr
    assert "another user" in machine.home.supervisor_log.read_text()


RUBBISH = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    frame(b"not json", 100),
    frame(b"[" * 100_000, TO_SUPERVISOR_LIMIT),
    encode(GetJobs(id=1), 100),
)


def test_rubbish_instead_of_a_greeting_gets_an_error_and_harms_nobody(machine: Machine) -> None:
    machine.start()
    for rubbish in RUBBISH:
        client = Raw(machine)
        client.send(rubbish)
        answer = client.next()
        assert isinstance(answer, Failure) and answer.kind == "protocol" and answer.suggestion
        assert client.next() is None
        client.close()
    assert ask(GetStatus(), machine.home).clients == 1
    assert "Traceback" not in machine.home.supervisor_log.read_text()


def test_a_wrong_message_in_a_sound_frame_is_refused_by_its_id_and_the_next_is_answered(machine: Machine) -> None:
    machine.start()
    client = Raw(machine)
    client.greet()
    client.send(frame(b'{"type":"get_job","id":7,"job":[]}', 1000))
    refused = client.next()
    assert isinstance(refused, Failure) and (refused.id, refused.kind) == (7, "protocol")
    client.send(encode(GetJobs(id=8), 1000))
    answered = client.next()
    assert isinstance(answered, Reply) and answered.id == 8
    client.close()


def test_a_version_that_does_not_fit_is_told_what_to_do(machine: Machine) -> None:
    machine.start()
    client = Raw(machine)
    client.send(encode(Hello(client="test", oldest=77, newest=78), 1000))
    answer = client.next()
    assert isinstance(answer, Failure) and "saetui supervisor stop" in (answer.suggestion or "")
    client.close()


def test_half_a_frame_and_then_nothing_harms_nobody(machine: Machine) -> None:
    machine.start()
    client = Raw(machine)
    client.greet()
    client.send(encode(GetJobs(id=1), 1000)[:-3])
    client.socket.shutdown(socket.SHUT_WR)
    answer = client.next()
    assert isinstance(answer, Failure) and "middle of a frame" in answer.message
    client.close()
    assert ask(GetStatus(), machine.home).clients == 1


def test_a_client_that_reads_nothing_is_cut_off_and_the_others_do_not_notice(machine: Machine) -> None:
    pid = machine.start("--silence-seconds=0.5")
    machine.until(machine.submit(steps=1).id, Status.COMPLETED)
    stuck = Raw(machine)
    stuck.greet()
    stuck.send(encode(Subscribe(id=1), 1000))
    stuck.socket.setblocking(False)
    request = encode(GetJobs(id=2), 1000) * 5000
    end = time.monotonic() + 20
    while "was cut off: it read nothing" not in machine.home.supervisor_log.read_text():
        assert time.monotonic() < end
        try:
            stuck.socket.send(request)
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            break
        assert ask(GetStatus(), machine.home, timeout=5).pid == pid
    assert memory_kib(pid) < 60_000
    stuck.close()
    machine.until(machine.submit(steps=1).id, Status.COMPLETED)


def test_a_subscriber_sees_every_state_of_a_job_in_order_without_gaps(machine: Machine) -> None:
    machine.start()
    with BlockingClient.connect(machine.home) as client:
        news = client.news()
        first = next(news)
        assert isinstance(first, Snapshot) and first.jobs == ()
        job = machine.submit(steps=30)
        statuses: list[Status] = []
        seq = first.seq
        for message in news:
            assert isinstance(message, Event) and message.seq == seq + 1
            seq = message.seq
            if isinstance(message.change, JobChanged):
                assert message.change.job.id == job.id
                if not statuses or statuses[-1] is not message.change.job.status:
                    statuses.append(message.change.job.status)
                if message.change.job.status.ended:
                    break
    assert statuses == [Status.QUEUED, Status.STARTING, Status.RUNNING, Status.COMPLETED]


def test_two_hundred_clients_are_served(machine: Machine) -> None:
    pid = machine.start()
    clients = [Raw(machine) for _ in range(200)]
    for client in clients:
        client.greet()
        client.send(encode(GetJobs(id=1), 1000))
    assert all(isinstance(client.next(), Reply) for client in clients)
    assert memory_kib(pid) < 80_000
    for client in clients:
        client.close()
    eventually(lambda: ask(GetStatus(), machine.home).clients == 1)
    assert len(list(Path(f"/proc/{pid}/fd").iterdir())) < 40


def test_clients_that_together_hold_too_much_are_cut_off_and_the_others_are_served(machine: Machine) -> None:
    pid = machine.start()
    most_of_a_frame = TO_SUPERVISOR_LIMIT.to_bytes(4, "big") + bytes(TO_SUPERVISOR_LIMIT - 1)
    clients = [Raw(machine) for _ in range(150)]
    for client in clients:
        client.greet()
    for client in clients:
        client.send(most_of_a_frame)
    eventually(lambda: "all clients together hold too much memory" in machine.home.supervisor_log.read_text())
    assert ask(GetStatus(), machine.home).pid == pid
    assert memory_kib(pid) < 130_000
    for client in clients:
        client.close()
    machine.until(machine.submit(steps=1).id, Status.COMPLETED)


def test_a_socket_that_was_removed_is_made_again_when_a_client_asks(machine: Machine) -> None:
    pid = machine.start()
    machine.home.socket.unlink()
    assert not reachable(machine.home)
    assert ask(GetStatus(), machine.home).pid == pid


def test_a_socket_that_was_removed_is_made_again_without_being_asked(machine: Machine) -> None:
    machine.start("--check-seconds=0.05")
    machine.home.socket.unlink()
    eventually(machine.home.socket.exists)
    assert ask(GetStatus(), machine.home, start=False).pid == machine.pid


def test_a_supervisor_whose_home_was_removed_leaves_instead_of_serving_beside_the_next(machine: Machine) -> None:
    pid = machine.start()
    machine.home.supervisor_lock.unlink()
    os.kill(pid, signal.SIGUSR1)
    assert machine.supervisor is not None
    assert machine.supervisor.wait(20) == 0
    assert "was removed or replaced" in machine.home.supervisor_log.read_text()


def test_a_trainer_hints_and_expects_nothing(machine: Machine) -> None:
    machine.start()
    client = Raw(machine)
    client.send(encode(Hello(client="trainer", job="abc"), 1000))
    assert isinstance(client.next(), Welcome)
    client.send(encode(DirectoryChanged(), 1000) * 50 + encode(GetStatus(id=3), 1000))
    assert isinstance(client.next(), Reply)
    client.close()


def test_supervisor_and_runner_load_no_torch_and_stay_small(machine: Machine) -> None:
    pid = machine.start()
    job = machine.submit()
    machine.until_step(job.id, 5)
    runner, _ = machine.processes(job.id)
    for process in (pid, runner):
        assert "torch" not in Path(f"/proc/{process}/maps").read_text()
    assert memory_kib(pid) < 60_000
    assert memory_kib(runner) < 20_000
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_a_home_that_cannot_be_used_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = subprocess.run(
        [sys.executable, "-m", "saetui.supervisor"],
        env={**os.environ, "SAETUI_HOME": str(tmp_path / "file" / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert str(tmp_path / "file") in result.stderr and "SAETUI_HOME" in result.stderr


def test_the_lock_is_free_as_soon_as_its_holder_is_killed(machine: Machine) -> None:
    pid = machine.start()
    assert holder_of(machine.home) == pid
    os.kill(pid, signal.SIGKILL)
    assert machine.supervisor is not None
    machine.supervisor.wait()
    assert holder_of(machine.home) is None
    with pytest.raises(SaetuiError, match="No supervisor runs"):
        ask(GetStatus(), machine.home, start=False)
