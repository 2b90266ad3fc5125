"""What a client of protocol 1 knows: frozen as it was, to see that it is still served. Never brought up to date."""

from __future__ import annotations

from typing import Any, Literal, Union

import msgspec

HELLO = b'{"type":"hello","oldest":1,"newest":1,"client":"old"}'
SUBSCRIBE = b'{"type":"subscribe","id":1}'
GET_JOBS = b'{"type":"get_jobs","id":2}'

Status = Literal["queued", "starting", "running", "paused", "stopping", "completed", "stopped", "failed", "lost"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    field: str
    message: str
    suggestion: str | None = None


class JobError(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    message: str
    suggestion: str | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
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
    num_steps: Union[int, None] = None
    progress: float = 0.0
    tokens_per_second: Union[float, None] = None
    eta_seconds: Union[float, None] = None
    metrics: dict[str, dict[str, float]] = {}
    error: Union[JobError, None] = None
    started_at: Union[str, None] = None
    ended_at: Union[str, None] = None


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    version: int
    saetui: str
    pid: int


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    seq: int
    jobs: tuple[Job, ...]
    templates: tuple[dict[str, Any], ...]
    device: Union[dict[str, Any], None] = None


class ManyJobs(msgspec.Struct, frozen=True, tag="many_jobs"):
    jobs: tuple[Job, ...]


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    job: Job
    warnings: tuple[Problem, ...] = ()


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    result: Union[Snapshot, ManyJobs, Submitted]


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    kind: str
    message: str
    id: Union[int, None] = None
    suggestion: Union[str, None] = None


class JobChanged(msgspec.Struct, frozen=True, tag="job_changed"):
    job: Job
    progress_only: bool = False


class JobRemoved(msgspec.Struct, frozen=True, tag="job_removed"):
    id: str


class TemplatesChanged(msgspec.Struct, frozen=True, tag="templates_changed"):
    templates: tuple[dict[str, Any], ...]


class DeviceChanged(msgspec.Struct, frozen=True, tag="device_changed"):
    reading: dict[str, Any]


class Event(msgspec.Struct, frozen=True, tag="event"):
    seq: int
    change: Union[JobChanged, JobRemoved, TemplatesChanged, DeviceChanged]


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    reason: str


FromSupervisor = Union[Welcome, Reply, Failure, Event, Goodbye]
