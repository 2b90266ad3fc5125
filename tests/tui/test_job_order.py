"""Which jobs are listed, in which order."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.jobs.job import Job, Status
from saetui.jobs.preferences import ORDERS, PREFERENCES
from saetui.tui.job_filter import wrong_words
from saetui.tui.job_order import Order, Sorting, listed
from saetui.tui.kept_order import KeptOrder
from saetui.tui.widgets.job_list import COLUMNS
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
    assert [job.id[-1] for job in listed(jobs, Sorting(Order.STATE))] == ["3", "2", "4", "5", "1"]


@pytest.mark.parametrize(("turned", "first"), [(False, "32"), (True, "23")])
def test_jobs_without_the_figure_come_last_in_both_directions(turned: bool, first: str) -> None:
    jobs = [make_job(HOME, 1), with_fvu(make_job(HOME, 2), 0.3), with_fvu(make_job(HOME, 3), 0.1)]
    jobs.append(with_fvu(make_job(HOME, 4), float("nan")))
    assert "".join(job.id[-1] for job in listed(jobs, Sorting(Order.FVU, turned))) == first + "41"


@pytest.mark.parametrize("order", Order)
def test_every_order_turns_round(order: Order) -> None:
    one = msgspec.structs.replace(
        with_fvu(make_job(HOME, 1, step=10, name="a", architecture="a", layers=(1,)), 0.1),
        metrics={"s": {"fvu": 0.1, "loss": 0.1, "l0": 1.0, "eval_fvu": 0.1, "dead_fraction": 0.0}},
        model="a",
        tokens_per_second=1.0,
        eta_seconds=1.0,
        started_at="2026-11-21T09:00:00Z",
        queue_rank=1,
        ended_at="2026-11-21T09:01:00Z",
    )
    two = msgspec.structs.replace(
        make_job(HOME, 2, Status.COMPLETED if order is Order.STATE else Status.RUNNING, step=20, name="b"),
        metrics={"s": {"fvu": 0.2, "loss": 0.2, "l0": 2.0, "eval_fvu": 0.2, "dead_fraction": 0.1}},
    )
    first, second = (listed([one, two], Sorting(order, turned)) for turned in (False, True))
    assert first == second[::-1]


def test_orders_are_those_of_the_preference_and_of_the_columns() -> None:
    assert tuple(order.value for order in Order) == ORDERS
    for text in PREFERENCES["order"].choices:
        assert Sorting.from_preference(text).preference == text
    assert {column.order for column in COLUMNS} < set(Order)


def test_an_order_of_this_window_is_not_taken_back_by_its_late_echo() -> None:
    kept = KeptOrder()
    assert kept.follow("name")
    for _ in range(3):
        kept.choose(kept.sorting.following)
    chosen = kept.sorting
    for echo in ("loss", "l0"):
        assert not kept.follow(echo)
        assert kept.sorting == chosen
    assert not kept.follow("phase of the moon"), "a newer supervisor may know more orders"
    assert kept.follow("name_reversed"), "someone else has changed it"
    assert kept.sorting == Sorting(Order.NAME, turned=True)


@pytest.mark.parametrize(
    ("text", "found"), [("fail", 1), ("STANDARD", 1), ("topk running", 1), ("bundled", 3), ("nothing", 0)]
)
def test_the_filter_looks_at_name_state_architecture_and_model(text: str, found: int) -> None:
    jobs = [
        make_job(HOME, 1),
        make_job(HOME, 2, Status.FAILED),
        make_job(HOME, 3, Status.QUEUED, architecture="standard"),
    ]
    assert len(listed(jobs, Sorting(Order.NEWEST), text)) == found


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
    assert "".join(sorted(job.id[-1] for job in listed(jobs, Sorting(Order.NEWEST), text))) == found


def test_a_bound_that_cannot_be_kept_is_explained() -> None:
    assert wrong_words("state:failed fvu<0.3") == wrong_words("fvu<") == ""
    assert "fvu, held_fvu, loss" in wrong_words("topk foo<3")
    assert wrong_words("fvu<o.3").startswith("o.3 is no number")


def test_a_metric_of_several_sites_is_their_mean_and_none_where_there_is_none() -> None:
    job = msgspec.structs.replace(make_job(HOME, 1), metrics={"a": {"l0": 10.0}, "b": {"l0": 30.0}})
    assert job.mean_metric("l0") == 20.0
    assert job.mean_metric("fvu") is None


def test_orders_go_round() -> None:
    sorting = Sorting()
    for _ in Order:
        sorting = sorting.following
    assert sorting == Sorting()
