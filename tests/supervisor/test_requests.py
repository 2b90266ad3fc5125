from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec

from saetui.home import Home
from saetui.jobs.job import Status
from saetui.protocol.messages import Change, Request, Subscribe
from saetui.supervisor.auto_resume import AutoResume
from saetui.supervisor.jobs import Jobs
from saetui.supervisor.preferences import StoredPreferences
from saetui.supervisor.requests import RequestHandlers, fit_in_frame
from saetui.supervisor.scheduler import Scheduler
from saetui.supervisor.store import Store
from saetui.supervisor.templates import Templates
from saetui.supervisor.torch_check import TorchCheck
from tests.supervisor.test_store import record


def test_a_few_jobs_are_shown_as_they_are() -> None:
    jobs = [record(number).job for number in range(3)]
    assert fit_in_frame(jobs) == tuple(jobs)


def test_of_too_many_the_ended_lose_their_metrics_and_then_the_oldest_ended_go() -> None:
    jobs = [
        msgspec.structs.replace(record(number, Status.COMPLETED).job, metrics={"site": {"loss": 0.5}})
        for number in range(10, 30)
    ]
    jobs.insert(0, record(99, Status.RUNNING).job)
    room = len(msgspec.json.encode(jobs)) - 1
    stripped = fit_in_frame(jobs, room)
    assert [job.id for job in stripped] == [job.id for job in jobs]
    assert all(not job.metrics for job in stripped)
    few = fit_in_frame(jobs, room // 2)
    assert 1 < len(few) < len(jobs) and len(msgspec.json.encode(few)) <= room // 2
    assert few[0].id == "job99" and few[-1].id == jobs[-1].id


def test_every_request_of_the_protocol_has_a_handler(tmp_path: Path) -> None:
    home, store, published = Home(tmp_path), Store(tmp_path / "saetui.json"), list[Change]()
    jobs = Jobs(home, store, published.append)
    preferences = StoredPreferences(store, published.append)
    handlers = RequestHandlers(
        home,
        jobs,
        Templates(store, published.append),
        preferences,
        Scheduler(home, jobs, AutoResume(jobs, preferences.current), ["trainer"], 1.0),
        TorchCheck(home, ["trainer"]),
        count_clients=lambda: 0,
        troubles=lambda: (),
        leave=lambda: None,
    )
    # `Subscribe` is answered by the service: it changes the connection.
    assert {*handlers.table, Subscribe} == set(get_args(Request))
