"""Every message that crosses the socket. One struct each; `type` tells them apart on the wire.

A client says `Hello`, the supervisor answers `Welcome` or `Failure`. Then requests, each with an `id` of the client's
choosing, are answered by one `Reply` or `Failure` with the same id. After `Subscribe` the supervisor also sends
`Event`s: the reply is the snapshot, `seq` grows by one with each event sent after it on this connection (progress that
was replaced before it was sent is not counted), and a gap means: subscribe again.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, ClassVar, Generic, TypeVar, Union, get_args

import msgspec

from saetui.jobs.job import Job
from saetui.jobs.preferences import Preferences
from saetui.jobs.template_files import ImportResult
from saetui.jobs.templates import Template
from saetui.spec.problems import Problem

PROTOCOL_VERSION = 2
OLDEST_VERSION = 1


class Hello(msgspec.Struct, frozen=True, tag="hello", kw_only=True):
    """First frame of every connection. `job`: set by a trainer, which only sends `DirectoryChanged`."""

    oldest: int = OLDEST_VERSION
    newest: int = PROTOCOL_VERSION
    client: str
    job: str | None = None


class Welcome(msgspec.Struct, frozen=True, tag="welcome", kw_only=True):
    version: int
    saetui: str
    pid: int


class DirectoryChanged(msgspec.Struct, frozen=True, tag="look"):
    """From a trainer: its job's directory has news."""


# Results


class DeviceReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine does now. None with its reason in `missing` where a figure cannot be had; never 0 for that.

    Attributes:
        name: the device's name, e.g. `CPU, 2 cores` or `NVIDIA H100`.
        kind: `cpu`, `cuda` or `jetson`.
        load: 0 to 1.  memory_*: bytes.  temperature: degrees Celsius.  power: watts.
        missing: for each figure that is None, the reason.
    """

    name: str
    kind: str
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    missing: dict[str, str] = {}


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", kw_only=True):
    seq: int
    jobs: tuple[Job, ...]
    templates: tuple[Template, ...]
    device: DeviceReading | None = None
    preferences: Preferences | None = None


class Submitted(msgspec.Struct, frozen=True, tag="submitted", kw_only=True):
    job: Job
    warnings: tuple[Problem, ...] = ()


class OneJob(msgspec.Struct, frozen=True, tag="one_job"):
    job: Job


class ManyJobs(msgspec.Struct, frozen=True, tag="many_jobs"):
    jobs: tuple[Job, ...]


class OneTemplate(msgspec.Struct, frozen=True, tag="one_template"):
    template: Template


class ManyTemplates(msgspec.Struct, frozen=True, tag="many_templates"):
    templates: tuple[Template, ...]


class Imported(msgspec.Struct, frozen=True, tag="imported"):
    result: ImportResult


class KeptPreferences(msgspec.Struct, frozen=True, tag="kept_preferences"):
    preferences: Preferences


class SupervisorStatus(msgspec.Struct, frozen=True, tag="supervisor_status", kw_only=True):
    """`troubles`: what of its background work has failed and is tried again, in words."""

    pid: int
    version: str
    home: str
    socket: str
    started_at: str
    jobs_running: int
    jobs_queued: int
    clients: int
    troubles: tuple[str, ...] = ()


class Done(msgspec.Struct, frozen=True, tag="done"):
    pass


Result = Union[
    Snapshot, Submitted, OneJob, ManyJobs, OneTemplate, ManyTemplates, Imported, KeptPreferences, SupervisorStatus, Done,
]  # fmt: skip


# Requests

R = TypeVar("R", bound=Result)


class BaseRequest(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """What all requests share: `id`, which the client fills in, and the type of their answer."""

    since: ClassVar[int] = 1
    id: int = 0

    @property
    def needs(self) -> int:
        """The version of the protocol that the other end must speak to do what is asked."""
        return self.since

    def answer_type(self) -> type[R]:
        """The type that a reply to this request has."""
        answer: type[R] = get_args(vars(type(self))["__orig_bases__"][0])[0]
        return answer


class Subscribe(BaseRequest[Snapshot], frozen=True, tag="subscribe"):
    """Answered by `Snapshot`, then events follow."""


class Submit(BaseRequest[Submitted], frozen=True, tag="submit"):
    """A training spec as JSON (paths absolute). Answered by `Submitted`.

    `template`: its use is counted. `after`: a job that must complete before this one starts.
    """

    spec: dict[str, Any]
    template: str | None = None
    after: str | None = None

    @property
    def needs(self) -> int:
        return 1 if self.after is None else 2


class GetJob(BaseRequest[OneJob], frozen=True, tag="get_job"):
    """`job`: an id, a unique prefix of one, or a name. Answered by `OneJob`."""

    job: str


class GetJobs(BaseRequest[ManyJobs], frozen=True, tag="get_jobs"):
    """Answered by `ManyJobs`, oldest first."""


class StopJobs(BaseRequest[ManyJobs], frozen=True, tag="stop_jobs"):
    """Answered by `ManyJobs` as soon as the wish is recorded; the jobs end later."""

    jobs: tuple[str, ...]


class PauseJobs(BaseRequest[ManyJobs], frozen=True, tag="pause_jobs"):
    """Hold jobs between two steps; `unload` (`release` on the wire): save, and free their memory. Answered as soon as the wish is recorded."""

    since: ClassVar[int] = 2
    jobs: tuple[str, ...]
    unload: bool = msgspec.field(default=False, name="release")


class ResumeJobs(BaseRequest[ManyJobs], frozen=True, tag="resume_jobs"):
    """Let paused jobs go on, and ended ones from their newest sound checkpoint. Answered as `PauseJobs`."""

    since: ClassVar[int] = 2
    jobs: tuple[str, ...]


class CheckpointJobs(BaseRequest[ManyJobs], frozen=True, tag="checkpoint_jobs"):
    """Save a checkpoint after the present step. Answered as soon as the wish is recorded."""

    since: ClassVar[int] = 2
    jobs: tuple[str, ...]


class RetryJobs(BaseRequest[ManyJobs], frozen=True, tag="retry_jobs"):
    """Queue ended jobs again, from the start; what the earlier try wrote is removed, except its log."""

    since: ClassVar[int] = 2
    jobs: tuple[str, ...]


class KeepCheckpoints(BaseRequest[ManyJobs], frozen=True, tag="keep_checkpoints"):
    """From now on other checkpoints of a job stay than its spec says; what no rule keeps any more is deleted.

    At once where no process of the job lives; otherwise by the trainer, after its next save.
    """

    since: ClassVar[int] = 2
    job: str
    keep_first: bool
    keep_last: Annotated[int, msgspec.Meta(ge=1)]
    keep_every: Union[Annotated[int, msgspec.Meta(ge=1)], None]
    keep_best: bool


class Place(str, Enum):
    """Where in the queue."""

    FIRST = "first"
    LAST = "last"
    UP = "up"
    DOWN = "down"


class MoveJobs(BaseRequest[ManyJobs], frozen=True, tag="move_jobs"):
    """Give queued jobs another place. Answered by all queued jobs, in their order."""

    since: ClassVar[int] = 2
    jobs: tuple[str, ...]
    to: Place


class GetPreferences(BaseRequest[KeptPreferences], frozen=True, tag="get_preferences"):
    since: ClassVar[int] = 2


class SetPreferences(BaseRequest[KeptPreferences], frozen=True, tag="set_preferences"):
    """Change the named ones; all or none."""

    since: ClassVar[int] = 2
    values: dict[str, Any]


class DeleteJobs(BaseRequest[ManyJobs], frozen=True, tag="delete_jobs"):
    """Only ended jobs; with their directories. Answered by `ManyJobs` (as they were)."""

    jobs: tuple[str, ...]


class GetTemplates(BaseRequest[ManyTemplates], frozen=True, tag="get_templates"):
    """Answered by `ManyTemplates`: favourites first, then by last use."""


class SaveTemplate(BaseRequest[OneTemplate], frozen=True, tag="save_template"):
    """`name` empty: generated from the spec. A taken name gets `_2`. Answered by `OneTemplate`."""

    spec: dict[str, Any]
    name: str = ""
    description: str = ""


class EditTemplate(BaseRequest[OneTemplate], frozen=True, tag="edit_template"):
    """Changes what is not None. Answered by `OneTemplate`. Built-in ones can only be favourites."""

    template: str
    name: str | None = None
    description: str | None = None
    favorite: bool | None = None
    used: bool = False


class DuplicateTemplate(BaseRequest[OneTemplate], frozen=True, tag="duplicate_template"):
    template: str


class DeleteTemplate(BaseRequest[OneTemplate], frozen=True, tag="delete_template"):
    """Answered by `OneTemplate`, which `RestoreTemplate` brings back."""

    template: str


class RestoreTemplate(BaseRequest[OneTemplate], frozen=True, tag="restore_template"):
    template: Template


class ImportTemplates(BaseRequest[Imported], frozen=True, tag="import_templates"):
    """`text`: the file's content, 1 MiB at most. Answered by `Imported`."""

    text: str


class GetStatus(BaseRequest[SupervisorStatus], frozen=True, tag="get_status"):
    """Answered by `SupervisorStatus`."""


class Shutdown(BaseRequest[Done], frozen=True, tag="shutdown"):
    """The supervisor leaves; its trainers go on. Answered by `Done` before it goes."""


Request = Union[
    Subscribe, Submit, GetJob, GetJobs, StopJobs, PauseJobs, ResumeJobs, CheckpointJobs, RetryJobs, MoveJobs, DeleteJobs,
    KeepCheckpoints,
    GetPreferences, SetPreferences, GetTemplates, SaveTemplate, EditTemplate,
    DuplicateTemplate, DeleteTemplate, RestoreTemplate, ImportTemplates, GetStatus, Shutdown,
]  # fmt: skip

# Answers


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    result: Result


class Failure(msgspec.Struct, frozen=True, tag="failure", kw_only=True):
    """A request that was refused; `id` is None where none could be read."""

    id: int | None = None
    kind: str
    message: str
    suggestion: str | None = None
    problems: tuple[Problem, ...] = ()


# Events


class JobChanged(msgspec.Struct, frozen=True, tag="job_changed"):
    """A new job, a new state, or new figures. `progress_only`: may be replaced by a newer one of the same job."""

    job: Job
    progress_only: bool = False


class JobRemoved(msgspec.Struct, frozen=True, tag="job_removed"):
    id: str


class TemplatesChanged(msgspec.Struct, frozen=True, tag="templates_changed"):
    templates: tuple[Template, ...]


class DeviceChanged(msgspec.Struct, frozen=True, tag="device_changed"):
    reading: DeviceReading


class PreferencesChanged(msgspec.Struct, frozen=True, tag="preferences_changed"):
    """Since version 2; not sent to a client that speaks an older one."""

    preferences: Preferences


Change = Union[JobChanged, JobRemoved, TemplatesChanged, DeviceChanged, PreferencesChanged]


class Event(msgspec.Struct, frozen=True, tag="event"):
    seq: int
    change: Change


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The supervisor ends this connection, and why."""

    reason: str


FromClient = Union[Hello, DirectoryChanged, Request]
FromSupervisor = Union[Welcome, Reply, Failure, Event, Goodbye]
