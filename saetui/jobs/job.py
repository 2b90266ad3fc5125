"""A job, as the supervisor, clients and `--json` show it: its state, progress and latest metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum

import msgspec

from saetui.formats import times
from saetui.formats.names import site_name


class Status(str, Enum):
    """The states of a job. `lost`: the machine went down while the job ran."""

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
        """Whether the job has ended; only a resume or a retry changes that."""
        return self in ENDED


class DesiredState(str, Enum):
    """What the user wants of a running job: to run, to pause with everything in memory, or to pause without."""

    RUN = "run"
    PAUSE = "pause"
    UNLOAD = "release"  # the spelling on disk and on the wire


ENDED = frozenset({Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.LOST})
ACTIVE = frozenset({Status.STARTING, Status.RUNNING, Status.PAUSED, Status.STOPPING})

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.STARTING, Status.PAUSED, Status.STOPPED, Status.FAILED}),
    Status.STARTING: frozenset({Status.RUNNING, Status.PAUSED, Status.STOPPING, Status.QUEUED}) | ENDED,
    Status.RUNNING: frozenset({Status.PAUSED, Status.STOPPING, Status.QUEUED}) | ENDED,
    Status.PAUSED: frozenset({Status.RUNNING, Status.STOPPING, Status.QUEUED}) | ENDED,
    Status.STOPPING: ENDED,
    **{status: frozenset({Status.QUEUED}) for status in ENDED},
}
"""The states that may follow each state.

queued → paused: it is held back, without a process. starting → queued: nothing was started yet. running → queued: it freed
its memory for a pause that was cancelled meanwhile. paused → queued: it had freed its memory.
"""


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed, and what to try."""

    kind: str
    message: str
    suggestion: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. Times are ISO 8601 in UTC; a value that does not exist is None.

    Attributes:
        progress: finished steps over all steps, 0 to 1.
        tokens_per_second: over a moving window, while the job runs.
        metrics: the latest values of each site.
        desired_state: the last request; `pause` or `release` until the job is resumed. `wish` in JSON.
        unloaded: paused without a process: its memory is free, and it continues from its checkpoint through the queue.
            `released` in JSON.
        queue_rank: its place among the queued jobs, lowest first.
        after: the id of the job that must complete before this one starts.
        degraded: what the training lacks at present (no room for a checkpoint).
        phase: the long work that it is at beside its steps, in words: loading, evaluating, saving. None while it trains.
        resumes: how often it was resumed automatically since a person last started it.
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
    desired_state: DesiredState = msgspec.field(default=DesiredState.RUN, name="wish")
    unloaded: bool = msgspec.field(default=False, name="released")
    queue_rank: int | None = None
    after: str | None = None
    degraded: str | None = None
    phase: str | None = None
    resumes: int = 0

    @property
    def activity(self) -> str:
        """What it does, in one word: that of its phase while it has one (`evaluating`), else its state."""
        words = (self.phase or "").split()
        return words[0].lower() if words and self.state in ("starting", "running") else self.state

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the job's sites, each with one SAE: `layer_2.resid_post`."""
        return tuple(site_name(layer, point) for layer in self.layers for point in self.hook_points)

    def mean_metric(self, name: str) -> float | None:
        """The mean of a metric's latest values over the sites that have it; None where none has."""
        values = [figures[name] for figures in self.metrics.values() if name in figures]
        return sum(values) / len(values) if values else None

    def elapsed_seconds(self, at: datetime | None = None) -> float | None:
        """How long it has run since it was first started, pauses included; None before that. `at`: instead of now."""
        if self.started_at is None:
            return None
        end = times.parse(self.ended_at) if self.ended_at is not None else at or times.utc_now()
        return max(0.0, (end - times.parse(self.started_at)).total_seconds())

    @property
    def holds_device(self) -> bool:
        """Whether a process of the job runs."""
        return self.status in ACTIVE and not self.unloaded

    @property
    def state(self) -> str:
        """The status, or a more exact word: `pausing` is running and asked to pause; `waiting` is queued after another job."""
        if self.status is Status.QUEUED and self.after is not None:
            return "waiting"
        if self.status in (Status.STARTING, Status.RUNNING) and self.desired_state is not DesiredState.RUN:
            return "pausing"
        if self.status is Status.PAUSED and not self.unloaded and self.desired_state is not DesiredState.PAUSE:
            return "resuming" if self.desired_state is DesiredState.RUN else "unloading"
        if self.status is Status.RUNNING and self.degraded is not None:
            return "degraded"
        return self.status.value


def queue_order(jobs: Iterable[Job]) -> list[Job]:
    """The queued jobs, the next one first."""
    return sorted((job for job in jobs if job.status is Status.QUEUED), key=queue_key)


def queue_key(job: Job) -> tuple[int, str]:
    """The sort key of the queue."""
    return job.queue_rank or 0, job.created_at
