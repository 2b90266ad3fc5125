"""The jobs that are listed, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from saetui.jobs.job import Job, Status, queue_key
from saetui.jobs.preferences import REVERSED
from saetui.tui.job_filter import matches


class Order(str, Enum):
    """What the list is ordered by, as the preference `order` names it; the key `o` goes to the next."""

    STATE = "state"
    NEWEST = "newest"
    NAME = "name"
    LOSS = "loss"
    FVU = "fvu"
    L0 = "l0"
    HELD_FVU = "held_fvu"
    DEAD = "dead"
    STEP = "step"
    PROGRESS = "progress"
    SPEED = "tokens_per_second"
    ETA = "eta"
    STARTED = "started"
    ELAPSED = "elapsed"
    ARCHITECTURE = "architecture"
    MODEL = "model"
    SITES = "sites"


_LARGEST_FIRST = frozenset({Order.NEWEST, Order.STEP, Order.PROGRESS, Order.SPEED, Order.STARTED, Order.ELAPSED})
"""What comes first unless the order is turned round: the newest, the furthest, the fastest."""


@dataclass(frozen=True)
class Sorting:
    """An order, and whether it is turned round."""

    order: Order = Order.STATE
    turned: bool = False

    @classmethod
    def from_preference(cls, text: str) -> Sorting:
        """As the preference `order` has it: `fvu`, or `fvu_reversed`."""
        return cls(Order(text.removesuffix(REVERSED)), text.endswith(REVERSED))

    @property
    def preference(self) -> str:
        return self.order.value + (REVERSED if self.turned else "")

    @property
    def following(self) -> Sorting:
        """By the next column."""
        orders = list(Order)
        return Sorting(orders[(orders.index(self.order) + 1) % len(orders)])

    @property
    def turned_round(self) -> Sorting:
        return replace(self, turned=not self.turned)

    @property
    def descending(self) -> bool:
        """Whether the largest comes first."""
        return (self.order in _LARGEST_FIRST) is not self.turned


def listed(jobs: Iterable[Job], sorting: Sorting, text: str = "") -> list[Job]:
    """The jobs that a filter keeps, in order. Jobs without the figure come last, in both directions."""
    found = [job for job in jobs if matches(job, text)]
    newest_first = sorted(found, key=lambda job: job.created_at, reverse=True)
    values = [(_KEYS[sorting.order](job), job) for job in newest_first]
    known = [pair for pair in values if not _is_missing(pair[0])]
    missing = [job for value, job in values if _is_missing(value)]
    return [job for _, job in sorted(known, key=lambda pair: pair[0], reverse=sorting.descending)] + missing


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


_STATE_RANK = {Status.RUNNING: 0, Status.PAUSED: 0, Status.STOPPING: 0, Status.STARTING: 0, Status.QUEUED: 1}


def _by_state(job: Job) -> tuple[int, tuple[int, str]]:
    """Running and paused jobs first, then the queue in its order, then ended jobs, the newest first."""
    rank = _STATE_RANK.get(job.status, 2)
    return rank, queue_key(job) if rank == 1 else (0, "")


def _by_metric(name: str) -> Callable[[Job], float | None]:
    return lambda job: job.mean_metric(name)


_KEYS: dict[Order, Callable[[Job], Any]] = {
    Order.STATE: _by_state,
    Order.NEWEST: lambda job: job.created_at,
    Order.NAME: lambda job: job.name.lower(),
    Order.LOSS: _by_metric("loss"),
    Order.FVU: _by_metric("fvu"),
    Order.L0: _by_metric("l0"),
    Order.HELD_FVU: _by_metric("eval_fvu"),
    Order.DEAD: _by_metric("dead_fraction"),
    Order.STEP: lambda job: job.step,
    Order.PROGRESS: lambda job: None if job.status is Status.QUEUED else job.progress,
    Order.SPEED: lambda job: job.tokens_per_second,
    Order.ETA: lambda job: None if job.status.ended else job.eta_seconds,
    Order.STARTED: lambda job: job.started_at,
    Order.ELAPSED: lambda job: job.elapsed_seconds(),
    Order.ARCHITECTURE: lambda job: job.architecture.lower(),
    Order.MODEL: lambda job: job.model.lower(),
    Order.SITES: lambda job: job.sites,
}
