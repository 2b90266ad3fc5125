"""What is in runs/ beside the jobs: the supervisor starts, removes nothing that is not its own, and serves."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.errors import HomeError
from saetui.jobs.job import Status
from saetui.protocol.messages import DeleteJobs, GetJobs
from saetui.rundir.layout import RunDirectory
from tests.conditions import eventually
from tests.supervisor.conftest import Machine

Lay = Callable[[Path, RunDirectory, ExitStack], None]
"""Puts something into a home: its `runs/`, a job's directory to copy from, and what is to be undone at the end."""


def notes(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    (runs / "notes").mkdir()
    (runs / "notes" / "ideas.md").write_text("of a year")


def copied_results(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    (runs / "best" / "sae").mkdir(parents=True)
    (runs / "best" / "checkpoints" / "step_000000001").mkdir(parents=True)
    (runs / "best" / "checkpoints" / "step_000000001" / "weights").write_bytes(b"days")


def copied_spec(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    (runs / "again").mkdir()
    shutil.copy(job.spec, runs / "again")


def copied_job(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    shutil.copytree(job.path, runs / f"{job.id}-kept")


def named_like_a_job(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    (runs / "abcdefgh").mkdir()
    shutil.copy(job.spec, runs / "abcdefgh")
    (runs / "abcdefgj").mkdir()
    shutil.copytree(job.path, runs / "abcdefg3")


def half_made_with_more_in_it(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    for name, hidden in (("abcdefgk", "abcdefgk"), ("abcdefgm", ".abcdefgm.new")):
        RunDirectory(runs / name).create(job.read_spec())
        (runs / name / "mine.txt").write_text("laid into it")
        if hidden != name:
            (runs / name).rename(runs / hidden)


def hidden_by_hand(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    for name in (".mine.deleted", ".mine.new", ".abcdefgh.new", ".abcdefgh.00112233.deleted"):
        shutil.copytree(job.path, runs / name)


def stray_file(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    for name in (".x.new", ".x.deleted", ".abcdefgn.new", ".abcdefgn.00112233.deleted", "abcdefgn", "README"):
        (runs / name).write_text("a file")


def links(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    elsewhere = runs.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("on another disk")
    for name in ("link", ".abcdefgp.new", ".abcdefgp.00112233.deleted", "abcdefgp", ".x2.deleted"):
        (runs / name).symlink_to(elsewhere)
    for name in ("dangling", ".abcdefgq.new", ".abcdefgq.00112233.deleted", "abcdefgq"):
        (runs / name).symlink_to("/nowhere/at/all")
    (runs / "abcdefgr").symlink_to("abcdefgr")


def fifos_and_sockets(runs: Path, _job: RunDirectory, undo: ExitStack) -> None:
    for name in ("fifo", "abcdefgs", ".abcdefgs.new", ".abcdefgs.00112233.deleted"):
        os.mkfifo(runs / name)
    bound = undo.enter_context(socket.socket(socket.AF_UNIX))
    before = Path.cwd()
    os.chdir(runs)
    try:
        bound.bind("abcdefgt")
    finally:
        os.chdir(before)


def fifos_in_a_job(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    for name in ("spec.json", "job.json", "identity.json", "exit.json", "control.json", "run.lock", "events.jsonl"):
        directory = runs / f"abcdefg{'uvwxyz2'[len(list(runs.glob('abcdefg[uvwxyz2]')))]}"
        directory.mkdir()
        os.mkfifo(directory / name)


def directories_in_a_job(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    directory = runs / "bbcdefgh"
    for name in ("spec.json", "job.json", "identity.json", "exit.json", "control.json", "run.lock", "events.jsonl"):
        (directory / name).mkdir(parents=True)


def garbage_in_a_job(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    for directory, content in ((runs / "cbcdefgh", b"\xff\x00{"), (runs / "dbcdefgh", b"[" * 100_000)):
        directory.mkdir()
        for name in ("spec.json", "job.json", "identity.json", "exit.json", "control.json", "run.lock", "events.jsonl"):
            (directory / name).write_bytes(content)


def huge_files_in_a_job(runs: Path, _job: RunDirectory, _undo: ExitStack) -> None:
    (runs / "ebcdefgh").mkdir()
    for name in ("spec.json", "job.json", "identity.json", "exit.json", "spec.json.sha256"):
        with open(runs / "ebcdefgh" / name, "wb") as file:
            file.truncate(1 << 40)


def names_that_are_no_text(runs: Path, job: RunDirectory, _undo: ExitStack) -> None:
    for name in (b"caf\xe9", b".\xff.deleted", b"\x1b[2J", b"two\nlines"):
        shutil.copytree(job.path, os.fsdecode(os.fsencode(runs) + b"/" + name))


def closed_directories(runs: Path, _job: RunDirectory, undo: ExitStack) -> None:
    for name in ("closed", "fbcdefgh"):
        (runs / name).mkdir()
        (runs / name).chmod(0)
        undo.callback((runs / name).chmod, 0o700)


KINDS: list[Lay] = [
    notes,
    copied_results,
    copied_spec,
    copied_job,
    named_like_a_job,
    half_made_with_more_in_it,
    hidden_by_hand,
    stray_file,
    links,
    fifos_and_sockets,
    fifos_in_a_job,
    directories_in_a_job,
    garbage_in_a_job,
    huge_files_in_a_job,
    names_that_are_no_text,
    closed_directories,
]


def inventory(runs: Path) -> dict[str, tuple[int, int]]:
    """Every path below, with what it is and how large. Links are not followed."""
    found = {}
    for place, directories, files in os.walk(runs):
        for name in [*directories, *files]:
            path = Path(place, name)
            state = path.lstat()
            found[str(path.relative_to(runs))] = (state.st_mode, 0 if path.is_dir() else state.st_size)
    return found


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    "kinds", [*([kind] for kind in KINDS), KINDS], ids=lambda kinds: kinds[0].__name__ if len(kinds) == 1 else "all"
)
def test_the_supervisor_starts_whatever_lies_in_the_home_and_leaves_all_of_it(
    machine: Machine, undo: ExitStack, kinds: list[Lay]
) -> None:
    machine.start()
    done = machine.submit(steps=1)
    machine.until(done.id, Status.COMPLETED)
    running = [machine.submit().id] if len(kinds) > 1 else []
    for job_id in running:
        machine.until(job_id, Status.RUNNING)
    machine.kill()
    before = inventory(machine.home.runs).keys()
    for lay in kinds:
        lay(machine.home.runs, machine.run(done.id), undo)
    laid = {name: kind for name, kind in inventory(machine.home.runs).items() if name not in before}
    machine.start()
    left = inventory(machine.home.runs)
    assert {name: left.get(name) for name in laid} == laid
    assert [job.id for job in ask(GetJobs(), machine.home).jobs] == [done.id, *running]
    for job_id in running:
        machine.until_step(job_id, machine.job(job_id).step + 5)
        machine.stop(job_id)
        machine.until(job_id, Status.STOPPED)


def test_what_is_half_made_or_deleted_by_us_is_removed_at_the_next_start(machine: Machine) -> None:
    machine.start()
    kept, gone = machine.submit(steps=1), machine.submit(steps=1)
    machine.until(gone.id, Status.COMPLETED)
    machine.kill()
    runs = machine.home.runs
    spec = machine.run(kept.id).read_spec()
    RunDirectory(runs / "abcdefgh").create(spec)
    RunDirectory(runs / "abcdefgj").create(spec)
    (runs / "abcdefgj").rename(runs / ".abcdefgj.new")
    (runs / ".abcdefgk.new").mkdir()
    shutil.copytree(machine.run(gone.id).path, runs / f".{gone.id}.00112233.deleted")
    (runs / f".{gone.id}.44556677.deleted").mkdir()
    machine.start()
    eventually(lambda: {path.name for path in runs.iterdir()} == {kept.id, gone.id})


def test_a_deletion_that_was_interrupted_after_its_directory_was_hidden_is_finished(machine: Machine) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    machine.kill()
    machine.run(job.id).path.rename(machine.home.runs / f".{job.id}.00112233.deleted")
    machine.start()
    assert ask(GetJobs(), machine.home).jobs == ()
    eventually(lambda: list(machine.home.runs.iterdir()) == [])


def test_a_run_that_was_moved_to_another_disk_and_linked_back_is_deleted_as_a_link_and_what_is_left_is_said(
    machine: Machine, tmp_path: Path
) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    elsewhere = tmp_path / "disk" / "run"
    shutil.move(machine.run(job.id).path, elsewhere)
    machine.run(job.id).path.symlink_to(elsewhere)
    with pytest.raises(HomeError, match=f"link.*{elsewhere}"):
        ask(DeleteJobs((job.id,)), machine.home)
    assert ask(GetJobs(), machine.home).jobs == () and list(machine.home.runs.iterdir()) == []
    assert (elsewhere / "spec.json").is_file()
    machine.kill()
    # What an older saetui left of the same.
    (machine.home.runs / f".{job.id}.00112233.deleted").symlink_to(elsewhere)
    machine.start()
    eventually(lambda: list(machine.home.runs.iterdir()) == [])
    assert (elsewhere / "spec.json").is_file()


@pytest.fixture
def immutable() -> Iterator[Callable[[Path], None]]:
    """Makes files and directories immutable (chattr +i), which root alone may do, on a file system that knows it."""
    done: list[Path] = []

    def fix(path: Path) -> None:
        subprocess.run(["chattr", "+i", str(path)], check=True)
        done.append(path)

    yield fix
    for path in done:
        found = [path] if path.exists() else list(path.parent.parent.rglob(path.name))
        subprocess.run(["chattr", "-i", *map(str, found)], check=True)


def test_what_cannot_be_removed_stays_and_is_said_and_every_start_goes_on(machine: Machine) -> None:
    machine.start()
    gone, running = machine.submit(steps=1), machine.submit()
    machine.until(gone.id, Status.COMPLETED)
    machine.until(running.id, Status.RUNNING)
    machine.kill()
    machine.failpoints = "run.remove=eperm"
    machine.start()
    with pytest.raises(HomeError, match=r"not everything on the disk.*Operation not permitted"):
        ask(DeleteJobs((gone.id,)), machine.home)
    (left,) = machine.home.runs.glob(".*.deleted")
    machine.kill()
    machine.failpoints = "run.remove=eperm"
    machine.start()
    eventually(lambda: "cannot be removed" in machine.log.read_text())
    assert left.exists()
    assert [job.id for job in ask(GetJobs(), machine.home).jobs] == [running.id]
    machine.kill()
    machine.failpoints = ""
    machine.start()
    eventually(lambda: not left.exists())
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


def test_a_deleted_job_with_an_immutable_file_is_gone_but_for_that_file(
    machine: Machine, immutable: Callable[[Path], None]
) -> None:
    machine.start()
    job = machine.submit(steps=1)
    machine.until(job.id, Status.COMPLETED)
    immutable(machine.run(job.id).log)
    with pytest.raises(HomeError, match="not everything on the disk"):
        ask(DeleteJobs((job.id,)), machine.home)
    (left,) = machine.home.runs.iterdir()
    assert sorted(path.name for path in left.iterdir()) == ["job.json", "trainer.log"]
    for _ in range(3):
        machine.kill()
        machine.start()
        assert left.exists() and ask(GetJobs(), machine.home).jobs == ()


def test_a_job_whose_directory_cannot_be_hidden_is_not_deleted_and_neither_are_the_others(
    machine: Machine, immutable: Callable[[Path], None]
) -> None:
    machine.start()
    other, fixed = machine.submit(steps=1), machine.submit(steps=1)
    machine.until(fixed.id, Status.COMPLETED)
    immutable(machine.run(fixed.id).path)
    with pytest.raises(HomeError, match=r"cannot be removed.*Nothing was deleted"):
        ask(DeleteJobs((other.id, fixed.id)), machine.home)
    assert {job.id for job in ask(GetJobs(), machine.home).jobs} == {other.id, fixed.id}
    assert {path.name for path in machine.home.runs.iterdir()} == {other.id, fixed.id}


def test_a_log_of_the_supervisor_that_is_no_file_does_not_keep_it_from_serving(machine: Machine) -> None:
    machine.home.make()
    os.mkfifo(machine.home.supervisor_log)
    machine.start()
    job = machine.submit(steps=1)
    eventually(lambda: machine.job(job.id).status is Status.COMPLETED)
    assert "cannot write its log" in machine.log.read_text()
