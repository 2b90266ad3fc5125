"""No room: what was there stays, what was refused has not happened, and when there is room again everything continues."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.errors import HomeError
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs
from saetui.supervisor.store import Store
from tests.conditions import eventually, lives
from tests.reliability.machine import ReliableMachine, check_job
from tests.supervisor.test_store import record


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "none", str(disk)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk; the limit on file sizes is tested instead")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_on_a_full_disk_jobs_go_on_new_ones_are_refused_and_all_is_well_when_there_is_room(
    machine: ReliableMachine, small_disk: Path
) -> None:
    machine.home = Home(small_disk / "home")
    machine.start()
    job = machine.submit(steps=400)
    machine.until_step(job.id, 20)
    filler = fill(small_disk)
    with pytest.raises(HomeError, match="No space left"):
        machine.submit(steps=1)
    assert [found.id for found in ask(GetJobs(), machine.home, start=False).jobs] == [job.id]
    filler.unlink()
    done = machine.until(job.id, Status.COMPLETED, Status.FAILED)
    assert done.status is Status.COMPLETED, done.error
    check_job(machine, done)
    assert sorted(path.name for path in machine.home.runs.iterdir()) == [job.id]
    assert not list(machine.home.root.rglob("*.tmp"))


def test_the_end_of_a_trainer_that_is_killed_on_a_full_disk_is_known_when_there_is_room(
    machine: ReliableMachine, small_disk: Path
) -> None:
    machine.home = Home(small_disk / "home")
    machine.start()
    job = machine.submit(steps=400)
    machine.until_step(job.id, 20)
    runner, trainer = machine.processes(job.id)
    # Held first, so that nothing of it makes room again.
    os.kill(trainer, signal.SIGSTOP)
    filler = fill(small_disk)
    os.kill(trainer, signal.SIGKILL)
    eventually(lambda: not lives(trainer))
    assert lives(runner), "it waits for room to write down the end"
    assert not machine.job(job.id).status.ended
    filler.unlink()
    failed = machine.until_ended(job.id)
    assert failed.error is not None and "SIGKILL" in failed.error.message
    machine.resume(job.id)
    check_job(machine, machine.until(job.id, Status.COMPLETED))


def test_a_supervisor_starts_on_a_full_disk_or_says_why_not_and_loses_nothing(
    machine: ReliableMachine, small_disk: Path
) -> None:
    machine.home = Home(small_disk / "home")
    machine.start()
    job = machine.submit(steps=5)
    done = machine.until(job.id, Status.COMPLETED)
    machine.leave()
    store = machine.home.store.read_bytes()
    filler = fill(small_disk)
    machine.start()
    assert machine.job(job.id) == done
    machine.kill()
    filler.unlink()
    machine.start()
    assert machine.job(job.id) == done
    assert machine.home.store.read_bytes() == store


def test_a_file_that_may_not_grow_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """The same without root: a limit on the size of files instead of a small disk."""
    path = tmp_path / "saetui.json"
    program = (
        "import sys; from pathlib import Path; from saetui.errors import HomeError\n"
        "from saetui.supervisor.store import Store; from tests.supervisor.test_store import record\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for n in range(60):\n"
        "    try: store.save_jobs([record(n)]); print(n)\n"
        "    except HomeError as error: print(error.message); break\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000)),
        capture_output=True,
        text=True,
        check=True,
    )
    *acknowledged, refusal = done.stdout.splitlines()
    assert str(path) in refusal and "File too large" in refusal
    store = Store(path)
    assert store.sound
    assert store.jobs() == [record(int(number)) for number in acknowledged]
    assert not list(tmp_path.glob(".*.tmp"))
