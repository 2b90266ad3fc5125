"""Which jobs are listed, in which order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.jobs.job import Job, Status
from saetui.tui.job_order import Order, listed, mean_metric
from tests.tui.runs import make_job

HOME = Path("home")


def with_fvu(job: Job, fvu: float) -> Job:
    return msgspec.structs.replace(job, metrics={"layer_2.resid_post": {"fvu": fvu}})


def test_what_runs_comes_first_then_the_queue_in_its_order_then_what_ended_newest_first() -> None:
    jobs = [
        make_job(HOME, 1, Status.COMPLETED),
        make_job(HOME, 2, Status.QUEUED),
        make_job(HOME, 3, Status.RUNNING),
        make_job(HOME, 4, Status.QUEUED),
        make_job(HOME, 5, Status.FAILED),
    ]
    assert [job.id[-1] for job in listed(jobs, Order.STATE)] == ["3", "2", "4", "5", "1"]


def test_by_a_metric_those_without_it_come_last() -> None:
    jobs = [make_job(HOME, 1), with_fvu(make_job(HOME, 2), 0.3), with_fvu(make_job(HOME, 3), 0.1)]
    jobs.append(with_fvu(make_job(HOME, 4), float("nan")))
    assert [job.id[-1] for job in listed(jobs, Order.FVU)][:2] == ["3", "2"]


@pytest.mark.parametrize(
    ("text", "found"), [("fail", 1), ("STANDARD", 1), ("topk running", 1), ("bundled", 3), ("nothing", 0)]
)
def test_the_filter_looks_at_name_state_architecture_and_model(text: str, found: int) -> None:
    jobs = [
        make_job(HOME, 1),
        make_job(HOME, 2, Status.FAILED),
        make_job(HOME, 3, Status.QUEUED, architecture="standard"),
    ]
    assert len(listed(jobs, Order.NEWEST, text)) == found


def test_a_metric_of_several_sites_is_their_mean_and_none_where_there_is_none() -> None:
    job = msgspec.structs.replace(make_job(HOME, 1), metrics={"a": {"l0": 10.0}, "b": {"l0": 30.0}})
    assert mean_metric(job, "l0") == 20.0
    assert mean_metric(job, "fvu") is None


def test_orders_go_round() -> None:
    order = Order.STATE
    for _ in Order:
        order = order.following
    assert order is Order.STATE
