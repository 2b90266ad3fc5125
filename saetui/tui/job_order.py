"""The jobs that are listed, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from saetui.jobs.job import Job, Status, queue_key
from saetui.tui.job_filter import matches


class Order(str, Enum):
    """The order of the list; the key `o` goes to the next."""

    STATE = "state"
    NEWEST = "newest"
    NAME = "name"
    LOSS = "loss"
    FVU = "FVU"

    @property
    def following(self) -> Order:
        orders = list(Order)
        return orders[(orders.index(self) + 1) % len(orders)]


def listed(jobs: Iterable[Job], order: Order, text: str = "") -> list[Job]:
    """The jobs that a filter keeps, in order."""
    found = [job for job in jobs if matches(job, text)]
    newest_first = sorted(found, key=lambda job: job.created_at, reverse=True)
    return sorted(newest_first, key=_KEYS[order])


_STATE_RANK = {Status.RUNNING: 0, Status.PAUSED: 0, Status.STOPPING: 0, Status.STARTING: 0, Status.QUEUED: 1}


def _by_state(job: Job) -> tuple[int, tuple[int, str]]:
    """Running and paused jobs first, then the queue in its order, then ended jobs, the newest first."""
    rank = _STATE_RANK.get(job.status, 2)
    return rank, queue_key(job) if rank == 1 else (0, "")


def _by_metric(name: str) -> Callable[[Job], float]:
    def key(job: Job) -> float:
        value = job.mean_metric(name)
        return value if value is not None and math.isfinite(value) else math.inf

    return key


_KEYS: dict[Order, Callable[[Job], Any]] = {
    Order.STATE: _by_state,
    Order.NEWEST: lambda job: 0,
    Order.NAME: lambda job: job.name.lower(),
    Order.LOSS: _by_metric("loss"),
    Order.FVU: _by_metric("fvu"),
}
