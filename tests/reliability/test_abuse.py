"""Whatever is done to the socket, to clocks and to process numbers: jobs run on, and the supervisor stays small."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import saetui
from saetui.client.blocking import ask
from saetui.formats.sealed import seal
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs, GetStatus
from saetui.supervisor.listener import CLIENT_LIMIT
from tests.conditions import eventually
from tests.reliability.abuses import ABUSES
from tests.reliability.machine import ReliableMachine, check_job, descriptors_of, is_reachable, memory_kib


def test_two_hundred_clients_that_do_everything_wrong_harm_nobody(machine: ReliableMachine) -> None:
    pid = machine.start("--silence-seconds=1")
    descriptors = descriptors_of(pid)
    job = machine.submit(steps=400)
    machine.until(job.id, Status.RUNNING)
    abusers = []
    for number in range(200):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(machine.home.socket))
        client.setblocking(False)
        for content in list(ABUSES.values())[number % len(ABUSES) :][:1]:
            try:
                client.send(content)
            except BlockingIOError:
                continue
        abusers.append(client)
    before = machine.job(job.id).step
    machine.until_step(job.id, before + 20)
    assert ask(GetStatus(), machine.home, start=False, timeout=5).pid == pid
    assert memory_kib(pid, "VmHWM") < 90_000
    for client in abusers:
        client.close()
    done = machine.until(job.id, Status.COMPLETED)
    check_job(machine, done)
    eventually(lambda: ask(GetStatus(), machine.home, start=False).clients == 1)
    eventually(lambda: descriptors_of(pid) <= descriptors + 2)
    assert "Traceback" not in machine.home.supervisor_log.read_text()


def test_more_clients_than_there_is_room_for_are_turned_away_and_jobs_still_start(machine: ReliableMachine) -> None:
    machine.start()
    clients = []
    for _ in range(CLIENT_LIMIT + 100):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(machine.home.socket))
        clients.append(client)
    log = machine.home.supervisor_log
    eventually(lambda: "clients are turned away" in log.read_text())
    for client in clients[:50]:
        client.close()
    eventually(lambda: is_reachable(machine))
    job = machine.submit(steps=5)
    machine.until(job.id, Status.COMPLETED)
    for client in clients:
        client.close()


def test_a_home_whose_path_is_longer_than_any_sockets_works(machine: ReliableMachine, tmp_path: Path) -> None:
    machine.home = Home(tmp_path / ("a" * 120) / ("b" * 120))
    machine.start()
    assert len(os.fsencode(machine.home.socket)) < 108
    job = machine.submit(steps=3)
    machine.until(job.id, Status.COMPLETED)


def test_a_socket_that_is_deleted_while_a_job_runs_costs_nothing(machine: ReliableMachine) -> None:
    machine.start()
    job = machine.submit(steps=200)
    machine.until(job.id, Status.RUNNING)
    machine.home.socket.unlink()
    assert ask(GetJobs(), machine.home).jobs[0].id == job.id
    check_job(machine, machine.until(job.id, Status.COMPLETED))


def test_a_number_that_another_process_has_now_is_neither_signalled_nor_taken_for_the_trainer(
    machine: ReliableMachine,
) -> None:
    machine.start()
    job = machine.submit()
    machine.until(job.id, Status.RUNNING)
    machine.kill()
    for pid in machine.processes(job.id):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not machine.mine())
    run = machine.run(job.id)
    run.exit.unlink(missing_ok=True)
    bystander = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    identity = json.loads(run.identity.read_text())
    del identity["crc"]
    for who in identity.values():
        who["pid"] = bystander.pid
    run.identity.write_bytes(seal(json.dumps(identity).encode()))
    machine.start()
    assert machine.until(job.id, Status.FAILED).error is not None
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_no_time_out_looks_at_a_clock_that_can_jump() -> None:
    wall = re.compile(r"\btime\.time\(|datetime\.now\(|datetime\.utcnow\(|\btime\.time_ns\(")
    allowed = re.compile(r"timezone\.utc")
    for path in Path(saetui.__file__).parent.rglob("*.py"):
        if path.relative_to(Path(saetui.__file__).parent).parts[0] in ("tui", "cli"):
            continue  # they show how long ago something was
        for line in path.read_text().splitlines():
            if wall.search(line):
                assert allowed.search(line), f"{path}: {line.strip()}"
