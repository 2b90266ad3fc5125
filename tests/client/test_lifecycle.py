from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from saetui.child_processes import child_environment
from saetui.client.blocking import ask
from saetui.client.lifecycle import ensure_supervisor, holder_of, stop_supervisor, supervisor_status
from saetui.errors import HomeError, SupervisorError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import GetStatus
from tests.conditions import eventually, lives
from tests.supervisor.conftest import Machine


def test_the_first_question_starts_a_supervisor_that_is_nobodys_child(machine: Machine) -> None:
    pid = ask(GetStatus(), machine.home).pid
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    parent, group, session, terminal = (int(field) for field in fields[1:5])
    assert parent != os.getpid() and os.getsid(pid) == session != os.getsid(0)
    assert group != os.getpgrp() and terminal == 0
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert ask(GetStatus(), machine.home).pid == pid
    assert stop_supervisor(machine.home) == pid


def test_two_clients_that_start_at_once_yield_one_supervisor(machine: Machine) -> None:
    program = "from saetui.client.blocking import ask; from saetui.protocol.messages import GetStatus\n"
    program += "print(ask(GetStatus()).pid)"
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=child_environment(machine.home), stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    pids = {client.communicate()[0].strip() for client in clients}
    assert pids == {str(holder_of(machine.home))}
    stop_supervisor(machine.home)


def test_status_and_stop_start_nothing(machine: Machine) -> None:
    assert supervisor_status(machine.home) is None
    assert stop_supervisor(machine.home) is None
    with pytest.raises(SupervisorError, match="No supervisor runs"):
        ask(GetStatus(), machine.home, start=False)
    assert machine.mine() == [] and not machine.home.root.exists()


def test_stop_returns_when_the_supervisor_has_gone_and_trainings_go_on(machine: Machine) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    status = supervisor_status(machine.home)
    assert status is not None and (status.jobs_running, status.jobs_queued) == (1, 0)
    assert stop_supervisor(machine.home) == machine.pid
    assert holder_of(machine.home) is None and not machine.home.socket.exists()
    assert lives(machine.processes(job.id)[1])
    machine.leave()
    machine.start()
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_stop_works_when_the_socket_is_gone(machine: Machine) -> None:
    ensure_supervisor(machine.home)
    machine.home.socket.unlink()
    assert stop_supervisor(machine.home) is not None
    assert machine.mine() == []


def test_a_socket_that_a_killed_supervisor_left_does_not_keep_the_next_from_starting(machine: Machine) -> None:
    ensure_supervisor(machine.home)
    pid = holder_of(machine.home)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not lives(pid))
    assert machine.home.socket.exists()
    assert ask(GetStatus(), machine.home).pid != pid
    stop_supervisor(machine.home)


def test_a_home_below_a_file_is_a_home_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = Home(tmp_path / "file" / "home")
    with pytest.raises(HomeError, match="SAETUI_HOME") as caught:
        ask(GetStatus(), home)
    assert str(home.root) in caught.value.message and caught.value.suggestion


def test_a_home_without_write_permission_is_a_home_error() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    # Imported before the user is changed: the other one may not be able to read this checkout.
    program = (
        "import os, sys; from pathlib import Path; from saetui.client.blocking import ask\n"
        "from saetui.errors import HomeError; from saetui.home import Home\n"
        "from saetui.protocol.messages import GetStatus\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: ask(GetStatus(), Home(Path(sys.argv[1])))\n"
        "except HomeError as error: print(error)\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        home.chmod(0o755)
        command = [sys.executable, "-c", program, str(home)]
        result = subprocess.run(command, capture_output=True, text=True, env=child_environment(Home(home)), check=False)
    assert result.stdout.startswith(f"SAETUI_HOME {home} cannot be used:"), result.stderr


def test_a_supervisor_that_cannot_start_says_why_to_the_client(machine: Machine) -> None:
    machine.home.make()
    machine.home.store.write_text('{"meta": {"1": {"version": 99}}}')
    with pytest.raises(HomeError, match="newer saetui"):
        ask(GetStatus(), machine.home)


def test_the_command_lines_client_loads_no_asyncio(machine: Machine) -> None:
    program = (
        "import sys; import saetui.client.blocking, saetui.protocol.messages\n"
        "print([name for name in ('asyncio', 'psutil', 'tinydb', 'torch') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
