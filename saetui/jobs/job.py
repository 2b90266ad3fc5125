"""A job as everyone sees it: its state, its progress, its latest figures."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec


class Status(str, Enum):
    """The states of a job. `lost`: the machine went down under it."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        """Nothing more happens to the job by itself."""
        return self in ENDED

    @property
    def holds_device(self) -> bool:
        """A process of the job lives."""
        return self in LIVE


ENDED = frozenset({Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.LOST})
LIVE = frozenset({Status.STARTING, Status.RUNNING, Status.PAUSED, Status.STOPPING})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.STOPPED, Status.FAILED}),
    Status.STARTING: frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED}) | ENDED,
    Status.RUNNING: frozenset({Status.PAUSED, Status.STOPPING}) | ENDED,
    Status.PAUSED: frozenset({Status.RUNNING, Status.STOPPING}) | ENDED,
    Status.STOPPING: ENDED,
    **{status: frozenset({Status.QUEUED}) for status in ENDED},
}
"""Which state may follow which. starting → queued: nothing had been started yet."""


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed, and what to try."""

    kind: str
    message: str
    suggestion: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job, as printed by `--json` and sent to clients. Times are ISO 8601 in UTC; what does not exist is None.

    Attributes:
        progress: finished steps over all steps, 0 to 1.
        tokens_per_second: over a moving window; None unless the job runs.
        metrics: the latest value of each metric, for each site.
    """

    id: str
    name: str
    status: Status
    architecture: str
    model: str
    layers: tuple[int, ...]
    hook_points: tuple[str, ...]
    directory: str
    created_at: str
    step: int = 0
    num_steps: int | None = None
    progress: float = 0.0
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    metrics: dict[str, dict[str, float]] = {}
    error: JobError | None = None
    started_at: str | None = None
    ended_at: str | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the job's sites, one SAE each: `layer_2.resid_post`."""
        return tuple(f"layer_{layer}.{point}" for layer in self.layers for point in self.hook_points)
