"""A home that is copied, moved, or reached by another path: a job's directory is `runs/<id>` of the home that is served."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.client.lifecycle import holder_of, supervisor_status
from saetui.home import Home, find_home
from saetui.jobs.job import Status
from saetui.protocol.messages import CheckpointJobs, DeleteJobs, GetStatus, RetryJobs
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.metrics import MetricReader
from tests.conditions import eventually, lives
from tests.supervisor.conftest import Machine


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def serving(machine: Machine, root: Path, undo: ExitStack) -> Machine:
    """The same machine with another home."""
    other = Machine.__new__(Machine)
    other.__dict__.update(machine.__dict__, home=Home(root), supervisor=None)
    undo.callback(other.clean)
    return other


def copy_of(machine: Machine, undo: ExitStack) -> Machine:
    """What `cp -a home copy` makes, while jobs run."""
    root = machine.home.root.with_name("copy")
    subprocess.run(["cp", "-a", machine.home.root, root], check=True)
    return serving(machine, root, undo)


def unmount(mount: Path) -> None:
    subprocess.run(["umount", mount], check=True)


def rows(machine: Machine, job_id: str) -> list[int]:
    reader = MetricReader(machine.run(job_id).training_metrics)
    reader.poll()
    return [step for step, _, _ in reader.rows()]


def test_a_copied_home_does_nothing_to_the_jobs_of_the_original(machine: Machine, undo: ExitStack) -> None:
    machine.start()
    done, running = machine.submit(steps=3, name="done"), machine.submit(name="running")
    machine.until(done.id, Status.COMPLETED)
    machine.until_step(running.id, 5)
    ask(CheckpointJobs((running.id,)), machine.home)
    eventually(lambda: list_checkpoints(machine.run(running.id).checkpoints))
    processes = machine.processes(running.id)
    copy = copy_of(machine, undo)
    copy.start()
    found = copy.until(running.id, Status.FAILED)
    assert found.directory == str(copy.home.runs / running.id)
    assert found.error is not None and found.error.kind == "copied"
    assert str(machine.run(running.id).path) in found.error.message
    ask(DeleteJobs((done.id,)), copy.home)
    assert not copy.run(done.id).path.exists() and machine.run(done.id).spec.is_file()
    # It goes on in the copy by itself, and in the original undisturbed: two trainings in two directories.
    copy.resume(running.id)
    copy.until_step(running.id, found.step + 5)
    assert not set(copy.processes(running.id)) & set(processes)
    copy.stop(running.id)
    stopped = copy.until(running.id, Status.STOPPED)
    assert rows(copy, running.id) == list(range(1, stopped.step + 1))
    ask(DeleteJobs((running.id,)), copy.home)
    assert machine.job(running.id).status is Status.RUNNING and all(lives(pid) for pid in processes)
    machine.until_step(running.id, machine.job(running.id).step + 5)
    machine.stop(running.id)
    stopped = machine.until(running.id, Status.STOPPED)
    assert rows(machine, running.id) == list(range(1, stopped.step + 1))


def test_homes_that_change_places_keep_their_trainings(machine: Machine, undo: ExitStack) -> None:
    machine.start()
    job = machine.submit()
    machine.until_step(job.id, 5)
    processes = machine.processes(job.id)
    copy = copy_of(machine, undo)
    machine.leave()
    original = machine.home.root.with_name("original")
    machine.home.root.rename(original)
    copy.home.root.rename(machine.home.root)
    # What stands now at the path that the trainer was started for is the copy.
    machine.start()
    error = machine.until(job.id, Status.FAILED).error
    assert error is not None and error.kind == "copied" and all(lives(pid) for pid in processes)
    moved = serving(machine, original, undo)
    moved.start()
    moved.until_step(job.id, moved.job(job.id).step + 5)
    assert moved.processes(job.id) == processes
    moved.stop(job.id)
    moved.until(job.id, Status.STOPPED)


def test_a_moved_home_works_on_with_its_trainings_under_a_living_supervisor_or_none(
    machine: Machine, undo: ExitStack
) -> None:
    machine.start()
    done, stopped, running = machine.submit(steps=3), machine.submit(), machine.submit(device="cuda")
    machine.until(done.id, Status.COMPLETED)
    machine.until_step(stopped.id, 3)
    machine.stop(stopped.id)
    before = machine.until(stopped.id, Status.STOPPED)
    machine.until_step(running.id, 5)
    processes = machine.processes(running.id)
    assert machine.supervisor is not None
    machine.home.root.rename(machine.home.root.with_name("moved"))
    assert machine.supervisor.wait(20) == 0, "it does not serve a home that is gone"
    moved = serving(machine, machine.home.root.with_name("moved"), undo)
    moved.start()
    assert moved.job(done.id).directory == str(moved.home.runs / done.id)
    moved.until_step(running.id, moved.job(running.id).step + 5)
    assert moved.processes(running.id) == processes
    ask(CheckpointJobs((running.id,)), moved.home)
    eventually(lambda: list_checkpoints(moved.run(running.id).checkpoints))
    moved.stop(running.id)
    ended = moved.until(running.id, Status.STOPPED)
    assert rows(moved, running.id) == list(range(1, ended.step + 1))
    moved.resume(stopped.id)
    moved.until_step(stopped.id, before.step + 3)
    moved.stop(stopped.id)
    moved.until(stopped.id, Status.STOPPED)
    ask(RetryJobs((done.id,)), moved.home)
    moved.until(done.id, Status.COMPLETED)
    ask(DeleteJobs((done.id, stopped.id, running.id)), moved.home)
    assert list(moved.home.runs.iterdir()) == [] and not machine.home.root.exists()


def test_a_home_that_was_reached_by_a_link_that_is_gone_works_on(
    machine: Machine, undo: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = machine.home.root.with_name("link")
    machine.home.make()
    link.symlink_to(machine.home.root)
    monkeypatch.setenv("SAETUI_HOME", str(link))
    assert find_home() == machine.home
    machine.home = find_home()
    machine.start()
    job = machine.submit()
    machine.until_step(job.id, 3)
    link.unlink()
    machine.kill()
    machine.start()
    machine.until_step(job.id, machine.job(job.id).step + 3)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)
    machine.resume(job.id)
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)
    ask(DeleteJobs((job.id,)), machine.home)
    assert list(machine.home.runs.iterdir()) == []


def test_a_link_and_a_bind_mount_of_a_home_are_the_same_home_with_one_supervisor(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.home.make()
    link, mount = machine.home.root.with_name("link"), machine.home.root.with_name("mount")
    link.symlink_to(machine.home.root)
    mount.mkdir()
    subprocess.run(["mount", "--bind", machine.home.root, mount], check=True)
    real = machine.home
    with ExitStack() as mounted:
        mounted.callback(unmount, mount)
        machine.home = Home(mount)
        pid = machine.start()
        for path in (link, mount, real.root, Path(f"{real.root}/runs/..")):
            monkeypatch.setenv("SAETUI_HOME", str(path))
            status = ask(GetStatus())
            assert status.pid == pid and status.home == str(mount)
            assert holder_of(find_home()) == pid
        machine.leave()
    # What the lock says leads to another directory now.
    monkeypatch.setenv("SAETUI_HOME", str(link))
    machine.home = find_home()
    assert machine.home == real
    pid = machine.start()
    found = supervisor_status()
    assert found is not None and found.pid == pid


def test_a_directory_that_was_written_down_is_not_believed(machine: Machine, tmp_path: Path) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    machine.kill()
    precious = tmp_path / "precious"
    shutil.copytree(machine.run(job.id).path, precious)
    store = json.loads(machine.home.store.read_text())
    for document in store["jobs"].values():
        document["job"]["directory"] = str(precious)
    del store["crc"]
    machine.home.store.write_text(json.dumps(store))
    machine.start()
    assert machine.job(job.id).directory == str(machine.run(job.id).path)
    ask(DeleteJobs((job.id,)), machine.home)
    assert not machine.run(job.id).path.exists() and (precious / "spec.json").is_file()


def test_a_home_that_is_not_there_yet_is_found_under_its_real_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv("SAETUI_HOME", str(tmp_path / "link" / "new" / ".." / "home"))
    assert find_home().root == Path(os.path.realpath(tmp_path)) / "home"
