from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from saetui import failpoints
from saetui.errors import HomeError
from saetui.jobs.job import Job, Status
from saetui.jobs.templates import Template
from saetui.supervisor import store as store_module
from saetui.supervisor.record import Record
from saetui.supervisor.store import MOST_DELETED, Store, previous_generation
from tests.conditions import eventually


def record(number: int, status: Status = Status.QUEUED) -> Record:
    job = Job(
        id=f"job{number}",
        name=f"name {number}",
        status=status,
        architecture="topk",
        model="m",
        layers=(1,),
        hook_points=("resid_post",),
        directory="/d",
        created_at=f"2026-11-21T00:00:{number:02d}Z",
    )
    return Record(job=job, device="cpu")


def template(name: str) -> Template:
    return Template(id=name, name=name, spec={"k": 1}, created_at="then", updated_at="then")


def test_what_was_saved_is_there_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    store = Store(path)
    for number in (2, 1, 3):
        store.save_jobs([record(number)])
    store.save_jobs([record(1, Status.FAILED)])
    store.remove_jobs(["job3"])
    store.save_template(template("one"))
    again = Store(path)
    assert again.sound
    assert again.jobs() == [record(1, Status.FAILED), record(2)]
    assert again.templates() == [template("one")]
    assert oct(path.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("keep", [0, 1, 50, 0.5, -1])
def test_a_torn_file_is_moved_aside_and_the_generation_before_is_used(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "saetui.json"
    store = Store(path)
    store.save_jobs([record(1)])
    store.save_jobs([record(2)])
    whole = path.read_bytes()
    torn = whole[: int(len(whole) * keep) if isinstance(keep, float) else keep]
    path.write_bytes(torn)
    again = Store(path)
    assert not again.sound
    assert again.jobs() == [record(1)]
    (aside,) = tmp_path.glob("saetui.json.unreadable-*")
    assert aside.read_bytes() == torn


def test_with_both_generations_damaged_it_starts_empty_and_loses_neither_file(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    Store(path).save_jobs([record(1)])
    path.write_bytes(b"\0" * 100)
    previous_generation(path).write_bytes(b"{")
    assert Store(path).jobs() == []
    assert len(list(tmp_path.glob("saetui.json.unreadable-*"))) == 1


def test_a_file_of_a_newer_saetui_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    content = b'{"meta": {"1": {"version": 99}}, "jobs": {}}'
    path.write_bytes(content)
    with pytest.raises(HomeError, match="newer saetui"):
        Store(path)
    assert path.read_bytes() == content


def test_temporary_files_of_a_killed_write_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    Store(path)
    leftover = tmp_path / ".saetui.json.abcd.tmp"
    leftover.write_text("half")
    Store(path)
    assert not leftover.exists()


def test_a_write_that_fails_changes_nothing_and_the_next_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "saetui.json"
    store = Store(path)
    store.save_jobs([record(1)])

    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_durably", full)
        with pytest.raises(HomeError, match="No space left"):
            store.save_jobs([record(1, Status.FAILED)])
        with pytest.raises(HomeError, match="No space left"):
            store.remove_jobs(["job1"])
    assert store.jobs() == Store(path).jobs() == [record(1)]
    store.save_jobs([record(2)])
    assert [found.id for found in Store(path).jobs()] == ["job1", "job2"]


def test_killed_at_any_moment_of_writing_it_is_sound_and_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "saetui.json"
    program = (
        "import sys; from pathlib import Path\n"
        "from saetui.supervisor.store import Store; from tests.supervisor.test_store import record\n"
        "store = Store(Path(sys.argv[1])); n = len(store.jobs())\n"
        "while n < 59:\n"
        "    store.save_jobs([record(n)]); n += 1; print(n, flush=True)\n"
    )
    acknowledged = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        wanted = acknowledged + 5
        while acknowledged < wanted:
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        rest = process.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        process.stdout.close()
        store = Store(path)
        assert store.sound and len(store.jobs()) >= acknowledged
        acknowledged = len(store.jobs())
    eventually(lambda: not list(tmp_path.glob(".*.tmp")))


@pytest.mark.parametrize("name", ["saetui.json", "templates.json"])
def test_a_file_that_is_gone_loses_no_template_and_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / "saetui.json"
    store = Store(path)
    assert store.losses == ()
    store.save_jobs([record(1)])
    store.add_templates([template("one"), template("two")])
    (tmp_path / name).unlink()
    again = Store(path)
    assert again.templates() == [template("one"), template("two")]
    (loss,) = again.losses
    assert (loss.file, loss.reason, loss.moved_to) == (str(tmp_path / name), "it was gone", None)


def test_with_both_files_of_the_templates_damaged_it_is_said_what_is_lost_and_where_they_lie(tmp_path: Path) -> None:
    path, templates = tmp_path / "saetui.json", tmp_path / "templates.json"
    Store(path).save_template(template("one"))
    for damaged in (templates, previous_generation(templates)):
        damaged.write_bytes(b"{")
    store = Store(path)
    assert store.sound and store.templates() == []
    assert [loss.lost for loss in store.losses] == ["all templates of your own"] * 2
    assert all(Path(str(loss.moved_to)).read_bytes() == b"{" for loss in store.losses)
    assert Store(path).losses == ()


def test_the_last_deleted_templates_are_kept_for_a_restore(tmp_path: Path) -> None:
    store = Store(tmp_path / "saetui.json")
    for number in range(MOST_DELETED + 5):
        store.save_template(template(f"t{number}"))
        store.delete_template(template(f"t{number}"))
    again = Store(tmp_path / "saetui.json")
    assert [found.name for found in again.deleted_templates()] == [
        f"t{number}" for number in range(5, MOST_DELETED + 5)
    ]
    again.save_template(template("t7"))
    assert "t7" not in [found.name for found in again.deleted_templates()]


def test_several_changes_of_one_write_are_there_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "saetui.json")
    store.save_template(template("kept"))
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "_active", failpoints.parse("templates.write=enospc"))
        with pytest.raises(HomeError):
            store.delete_template(template("kept"))
    assert [found.name for found in store.templates()] == ["kept"] and store.deleted_templates() == []
    store.save_jobs([record(1), record(2)])
    store.save_jobs([record(1, Status.FAILED), record(3)])
    assert store.jobs() == [record(1, Status.FAILED), record(2), record(3)]
