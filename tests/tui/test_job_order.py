"""Which jobs are listed, in which order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.jobs.job import Job, Status
from saetui.tui.job_filter import wrong_words
from saetui.tui.job_order import Order, listed
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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fvu<0.3", "2"),
        ("FVU >= 0.3", ""),
        ("fvu>=0.3", "3"),
        ("fvu<30%", "2"),
        ("fvu<", "123"),
        ("fvu<x", "123"),
        ("step>=1k", "3"),
        ("state:failed", "3"),
        ("state:fail fvu<0.3", ""),
        ("model:tiny architecture:topk", "12"),
        ("bundled:tiny", "123"),
        ("site:layer_7", ""),
        ("name:two", "2"),
        ("loss<1", ""),
    ],
)
def test_the_filter_knows_fields_and_bounds(text: str, found: str) -> None:
    jobs = [
        make_job(HOME, 1),
        with_fvu(make_job(HOME, 2, name="two"), 0.2),
        with_fvu(make_job(HOME, 3, Status.FAILED, architecture="standard", step=1000), 0.3),
    ]
    assert "".join(sorted(job.id[-1] for job in listed(jobs, Order.NEWEST, text))) == found


def test_a_bound_that_cannot_be_kept_is_explained() -> None:
    assert wrong_words("state:failed fvu<0.3") == wrong_words("fvu<") == ""
    assert "fvu, held_fvu, loss" in wrong_words("topk foo<3")
    assert wrong_words("fvu<o.3").startswith("o.3 is no number")


def test_a_metric_of_several_sites_is_their_mean_and_none_where_there_is_none() -> None:
    job = msgspec.structs.replace(make_job(HOME, 1), metrics={"a": {"l0": 10.0}, "b": {"l0": 30.0}})
    assert job.mean_metric("l0") == 20.0
    assert job.mean_metric("fvu") is None


def test_orders_go_round() -> None:
    order = Order.STATE
    for _ in Order:
        order = order.following
    assert order is Order.STATE
