"""A disk without room or inodes, and files that cannot be changed: a job's failure or a wait, never the service's end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.errors import HomeError
from saetui.jobs.job import Job, Status
from saetui.protocol.messages import GetJobs, RetryJobs
from tests.conditions import eventually
from tests.supervisor.conftest import Machine


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose home lies on a small disk with few inodes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = "size=16m,nr_inodes=120,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)
    try:
        machine = Machine(disk)
        machine.log = tmp_path / "foreground.log"
        yield machine
        assert machine.clean() == [], "processes were left behind"
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(machine: Machine, taken: list[Path]) -> list[Path]:
    """Take every inode that is left; the files that took them."""
    while True:
        path = machine.home.root.with_name(f"taken-{len(taken)}")
        try:
            path.touch()
        except OSError:
            return taken
        taken.append(path)


def free(taken: list[Path]) -> None:
    for path in taken:
        path.unlink()


def test_starts_go_well_on_a_disk_without_inodes_and_what_waits_goes_on_when_there_are_some(small: Machine) -> None:
    small.start()
    again, running = small.submit(steps=3), small.submit()
    small.until(again.id, Status.COMPLETED)
    small.until(running.id, Status.RUNNING)
    ask(RetryJobs((again.id,)), small.home)
    started = small.job(running.id)
    taken: list[Path] = []
    for _ in range(3):
        fill(small, taken)
        small.kill()
        small.start()
        assert small.job(running.id).status is Status.RUNNING
        assert small.job(again.id).status is Status.QUEUED
    small.until_step(running.id, started.step + 20)
    fill(small, taken)
    with pytest.raises(HomeError):
        small.submit(steps=1)
    assert sorted(path.name for path in small.home.runs.iterdir()) == sorted([again.id, running.id])
    free(taken)
    small.stop(running.id)
    small.until(running.id, Status.STOPPED)
    small.until(again.id, Status.COMPLETED)


@pytest.mark.parametrize("point", ["launch.spawn=enospc", "launch.spawn=eagain", "launch.spawn=emfile"])
def test_a_job_that_cannot_start_for_want_of_something_says_so_waits_and_starts(machine: Machine, point: str) -> None:
    machine.failpoints = f"{point}@1"
    machine.start()
    job = machine.submit(steps=3)
    waits = eventually(lambda: waiting(machine, job.id))
    assert waits is not None and "tried again" in (waits.degraded or "")
    done = machine.until(job.id, Status.COMPLETED)
    assert done.degraded is None and done.error is None


def waiting(machine: Machine, job_id: str) -> Job | None:
    job = machine.job(job_id)
    return job if job.status is Status.QUEUED and job.degraded else None


def test_a_job_that_cannot_start_for_another_reason_fails_with_it_and_the_next_one_starts(machine: Machine) -> None:
    machine.failpoints = "launch.spawn=eperm@1"
    machine.start()
    first, second = machine.submit(), machine.submit(steps=1)
    error = machine.until(first.id, Status.FAILED).error
    assert error is not None and "Operation not permitted" in error.message
    machine.until(second.id, Status.COMPLETED)


def test_a_failure_that_cannot_be_recorded_is_recorded_when_there_is_room(machine: Machine) -> None:
    machine.failpoints = "launch.spawn=eperm;store.rename=enospc@5;store.rename=enospc@6;store.rename=enospc@7"
    machine.start()
    jobs = [machine.submit() for _ in range(2)]
    for job in jobs:
        assert machine.until(job.id, Status.FAILED).error is not None
    assert machine.supervisor is not None and machine.supervisor.poll() is None


@pytest.fixture
def immutable() -> Iterator[Callable[[Path], None]]:
    """Makes files and directories immutable (chattr +i), which root alone may do, on a file system that knows it."""
    done: list[Path] = []

    def fix(path: Path) -> None:
        subprocess.run(["chattr", "+i", path], check=True)
        done.append(path)

    yield fix
    for path in done:
        subprocess.run(["chattr", "-i", path], check=True)


def test_a_retry_of_a_job_with_an_immutable_directory_fails_with_that_reason_and_starts_go_well(
    machine: Machine, immutable: Callable[[Path], None]
) -> None:
    machine.start()
    fixed, running = machine.submit(steps=3), machine.submit()
    machine.until(fixed.id, Status.COMPLETED)
    machine.until(running.id, Status.RUNNING)
    immutable(machine.run(fixed.id).path)
    ask(RetryJobs((fixed.id,)), machine.home)
    error = machine.until(fixed.id, Status.FAILED).error
    assert error is not None and "cannot be removed" in error.message
    for _ in range(3):
        machine.kill()
        machine.start()
        assert [job.status for job in ask(GetJobs(), machine.home).jobs] == [Status.FAILED, Status.RUNNING]
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


def test_a_file_in_the_way_of_a_job_is_that_jobs_failure(machine: Machine) -> None:
    machine.start()
    running = machine.submit()
    machine.until(running.id, Status.RUNNING)
    waiting = [machine.submit() for _ in range(4)]
    os.mkfifo(machine.run(waiting[0].id).path / "control.json")
    machine.run(waiting[1].id).lock.mkdir()
    machine.run(waiting[2].id).log.symlink_to("/")
    machine.run(waiting[3].id).spec.unlink()
    os.mkfifo(machine.run(waiting[3].id).spec)
    machine.kill()
    machine.start()
    machine.stop(running.id)
    for job in waiting:
        assert machine.until(job.id, Status.FAILED).error is not None
    machine.until(running.id, Status.STOPPED)
