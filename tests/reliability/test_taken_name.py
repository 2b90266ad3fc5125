"""Another user takes /tmp/saetui-UID, before or while a supervisor serves: the socket moves, clients find it, nobody dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from saetui.child_processes import child_environment
from saetui.home import Home
from saetui.sockets import is_private
from tests.conditions import eventually, lives
from tests.reliability.machine import ReliableMachine

# The interpreter may be where only root may read: what is needed is loaded first.
_BECOME = (
    "import os, sys, psutil, platformdirs, saetui.devices.device, saetui.supervisor.process, saetui.client.blocking\n"
    "import saetui.supervisor.service\n"
    "os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))\n"
)
SERVE = _BECOME + "sys.exit(saetui.supervisor.process.run(['--check-seconds=0.05']))"
ASK = _BECOME + (
    "import json\n"
    "from saetui.client.blocking import ask\n"
    "from saetui.protocol.messages import GetStatus\n"
    "status = ask(GetStatus(), start=False)\n"
    "print(json.dumps([status.pid, status.socket]))\n"
)


@dataclass
class OtherUser:
    """A real user that is not the one who takes the name; what belongs to it."""

    uid: int
    root: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def usual(self) -> Path:
        return Path(f"/tmp/saetui-{self.uid}")

    def start(self) -> subprocess.Popen[str]:
        process = self._run(SERVE)
        self.processes.append(process)
        eventually(lambda: self.status() is not None)
        return process

    def status(self) -> tuple[int, Path] | None:
        """The pid of its supervisor and the socket that it serves; None where none is found."""
        asking = self._run(ASK)
        out, _ = asking.communicate()
        if asking.returncode != 0:
            return None
        pid, path = json.loads(out)
        return pid, Path(path)

    def free(self) -> None:
        """Whoever has taken the name gives it up."""
        if self.usual.is_dir() and not self.usual.is_symlink():
            shutil.rmtree(self.usual)
        else:
            self.usual.unlink(missing_ok=True)

    def _run(self, program: str) -> subprocess.Popen[str]:
        environment = {**child_environment(Home(self.home)), "HOME": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", program, str(self.uid)]
        return subprocess.Popen(
            command, env=environment, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )


@pytest.fixture
def other() -> Iterator[OtherUser]:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    uid = 40_000 + os.getpid() % 20_000
    root = Path(tempfile.mkdtemp(prefix="other-"))
    os.chown(root, uid, uid)
    user = OtherUser(uid, root)
    yield user
    for process in user.processes:
        process.send_signal(signal.SIGTERM)
        process.communicate()
    user.free()
    record = user.home / "socket-directory"
    if record.exists():
        shutil.rmtree(record.read_text(), ignore_errors=True)
    shutil.rmtree(root)


def take_as_directory(path: Path) -> None:
    path.mkdir(mode=0o700)


def take_as_open_directory(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def take_as_file(path: Path) -> None:
    path.touch()


def take_as_link(path: Path) -> None:
    path.symlink_to("/root")


def test_before_a_first_start_and_free_again(other: OtherUser) -> None:
    for number, take in enumerate((take_as_file, take_as_open_directory)):
        take(other.usual)
        process = other.start()
        status = other.status()
        assert status is not None
        pid, path = status
        found = path.parent.lstat()
        assert pid == process.pid and path.parent != other.usual
        assert (found.st_uid, found.st_mode & 0o777) == (other.uid, 0o700)
        # The name is free again: the living one goes on, and the next has its socket in the usual place.
        other.free()
        assert other.status() == (pid, path)
        process.terminate()
        assert process.wait(20) == 0
        if number == 0:
            process = other.start()
            status = other.status()
            assert status is not None and status[1].parent == other.usual
            assert not path.parent.exists(), "the other directory is not left behind"
            process.terminate()
            process.wait(20)
        other.free()


@pytest.mark.parametrize("take", [take_as_directory, take_as_link])
def test_while_a_supervisor_serves(other: OtherUser, take: Callable[[Path], None]) -> None:
    process = other.start()
    other.free()
    take(other.usual)
    status = eventually(other.status)
    assert status is not None
    pid, path = status
    assert pid == process.pid and process.poll() is None
    assert path.parent != other.usual and path.parent.lstat().st_uid == other.uid


def test_what_lies_in_a_directory_that_others_may_enter_is_not_trusted(
    machine: ReliableMachine, tmp_path: Path
) -> None:
    machine.start()
    (machine.home.root / "socket-directory").write_bytes(os.fsencode(tmp_path))
    tmp_path.chmod(0o755)
    assert machine.home.socket_directory != tmp_path
    assert not is_private(tmp_path / "nothing")


def test_the_directory_of_the_socket_is_locked_as_long_as_it_is_served(machine: ReliableMachine) -> None:
    """systemd-tmpfiles asks for this very lock, and passes over a directory for which it does not get it."""
    pid = machine.start()
    directory = os.open(machine.home.socket_directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(directory)
    old = 1_000_000_000
    os.utime(machine.home.socket, (old, old))
    os.kill(pid, signal.SIGUSR1)
    eventually(lambda: machine.home.socket.stat().st_mtime > old)
    assert lives(pid)
    with contextlib.suppress(FileNotFoundError):
        assert is_private(machine.home.socket_directory)
