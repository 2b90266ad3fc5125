from __future__ import annotations

import msgspec

from saetui.jobs.job import Status
from saetui.supervisor.fitting import fitting
from tests.supervisor.test_store import record


def test_a_few_jobs_are_shown_as_they_are() -> None:
    jobs = [record(number).job for number in range(3)]
    assert fitting(jobs) == tuple(jobs)


def test_of_too_many_the_ended_lose_their_metrics_and_then_the_oldest_ended_go() -> None:
    jobs = [
        msgspec.structs.replace(record(number, Status.COMPLETED).job, metrics={"site": {"loss": 0.5}})
        for number in range(10, 30)
    ]
    jobs.insert(0, record(99, Status.RUNNING).job)
    room = len(msgspec.json.encode(jobs)) - 1
    stripped = fitting(jobs, room)
    assert [job.id for job in stripped] == [job.id for job in jobs]
    assert all(not job.metrics for job in stripped)
    few = fitting(jobs, room // 2)
    assert 1 < len(few) < len(jobs) and len(msgspec.json.encode(few)) <= room // 2
    assert few[0].id == "job99" and few[-1].id == jobs[-1].id
