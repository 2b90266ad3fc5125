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
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.store import Store
from tests.supervisor.test_store import record


@pytest.fixture
def published() -> list[Change]:
    return []


@pytest.fixture
def jobs(tmp_path: Path, published: list[Change]) -> Jobs:
    jobs = Jobs(Home(tmp_path), Store(tmp_path / "saetui.json"), published.append)
    for number in (1, 2, 30):
        jobs.add(record(number))
    published.clear()
    return jobs


def test_a_job_is_found_by_id_by_name_and_by_a_beginning_that_only_one_id_has(jobs: Jobs) -> None:
    assert jobs.find("job2").id == jobs.find("name 2").id == "job2"
    assert jobs.find("job3").id == "job30"
    with pytest.raises(InvalidInput, match="job1, job2, job30"):
        jobs.find("job")
    for text in ("", "jobs", "name"):
        with pytest.raises(NotFound):
            jobs.find(text)


def test_a_change_is_published_with_its_times_and_is_stored(
    tmp_path: Path, jobs: Jobs, published: list[Change]
) -> None:
    jobs.set_status("job1", Status.STARTING)
    jobs.set_status("job1", Status.RUNNING)
    done = jobs.set_status("job1", Status.COMPLETED)
    assert done.started_at is not None and done.ended_at is not None and done.started_at <= done.ended_at
    assert [change.job.status for change in published if isinstance(change, JobChanged)] == [
        Status.STARTING,
        Status.RUNNING,
        Status.COMPLETED,
    ]
    stored = {found.id: found.job for found in Store(tmp_path / "saetui.json").jobs()}
    assert stored["job1"] == done


def test_progress_is_published_but_not_stored_and_only_when_there_is_some(
    tmp_path: Path, jobs: Jobs, published: list[Change]
) -> None:
    before = (tmp_path / "saetui.json").read_bytes()
    job = msgspec.structs.replace(jobs["job1"].job, step=5)
    jobs.show_progress(job)
    jobs.show_progress(job)
    assert published == [JobChanged(job, progress_only=True)]
    assert (tmp_path / "saetui.json").read_bytes() == before


def test_what_cannot_be_stored_has_not_happened(
    jobs: Jobs, published: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "write_durably", full)
    with pytest.raises(HomeError):
        jobs.set_status("job1", Status.STARTING)
    with pytest.raises(HomeError):
        jobs.add(record(4))
    with pytest.raises(HomeError):
        jobs.remove("job2")
    assert [found.job.status for found in jobs.records()] == [Status.QUEUED] * 3
    assert published == []
