from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest

from saetui.errors import HomeError, InvalidInput, NotFound
from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import Change, JobChanged
from saetui.supervisor import store as store_module
from saetui.supervisor.jobs import Board
from saetui.supervisor.store import Store
from tests.supervisor.test_store import record


@pytest.fixture
def heard() -> list[Change]:
    return []


@pytest.fixture
def board(tmp_path: Path, heard: list[Change]) -> Board:
    board = Board(Home(tmp_path), Store(tmp_path / "saetui.json"), heard.append)
    for number in (1, 2, 30):
        board.add(record(number))
    heard.clear()
    return board


def test_a_job_is_found_by_id_by_name_and_by_a_beginning_that_only_one_id_has(board: Board) -> None:
    assert board.find("job2").id == board.find("name 2").id == "job2"
    assert board.find("job3").id == "job30"
    with pytest.raises(InvalidInput, match="job1, job2, job30"):
        board.find("job")
    for text in ("", "jobs", "name"):
        with pytest.raises(NotFound):
            board.find(text)


def test_a_change_is_told_with_its_times_and_is_stored(tmp_path: Path, board: Board, heard: list[Change]) -> None:
    board.move("job1", Status.STARTING)
    board.move("job1", Status.RUNNING)
    done = board.move("job1", Status.COMPLETED)
    assert done.started_at is not None and done.ended_at is not None and done.started_at <= done.ended_at
    assert [change.job.status for change in heard if isinstance(change, JobChanged)] == [
        Status.STARTING,
        Status.RUNNING,
        Status.COMPLETED,
    ]
    stored = {found.id: found.job for found in Store(tmp_path / "saetui.json").jobs()}
    assert stored["job1"] == done


def test_progress_is_told_but_not_stored_and_only_when_there_is_some(
    tmp_path: Path, board: Board, heard: list[Change]
) -> None:
    before = (tmp_path / "saetui.json").read_bytes()
    job = msgspec.structs.replace(board["job1"].job, step=5)
    board.show_progress(job)
    board.show_progress(job)
    assert heard == [JobChanged(job, progress_only=True)]
    assert (tmp_path / "saetui.json").read_bytes() == before


def test_what_cannot_be_stored_has_not_happened(
    board: Board, heard: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "write_durably", full)
    with pytest.raises(HomeError):
        board.move("job1", Status.STARTING)
    with pytest.raises(HomeError):
        board.add(record(4))
    with pytest.raises(HomeError):
        board.remove("job2")
    assert [found.job.status for found in board.records()] == [Status.QUEUED] * 3
    assert heard == []
