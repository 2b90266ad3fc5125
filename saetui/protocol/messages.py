"""Every message that crosses the socket, one struct each. `type` (the tag) tells them apart on the wire.

A client sends `Hello`; the supervisor answers `Welcome` or `Failure`. Then each request, with an `id` of the client's
choosing, is answered by one `Reply` or `Failure` with the same id; jobs that do not fit in one frame come before it in
`JobsPart`s. After `Subscribe` the supervisor also sends `Event`s. The reply is the snapshot; `seq` grows by one with each event
sent after it on this connection (progress that was replaced before it was sent is not counted), and a gap means: subscribe
again.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

import msgspec

from saetui.jobs.job import Job
from saetui.jobs.preferences import Preferences
from saetui.jobs.template_files import ImportResult
from saetui.jobs.templates import Template
from saetui.protocol.device_load import DeviceLoad
from saetui.spec.problems import Problem

PROTOCOL_VERSION = 4
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
    """From a trainer: there is news in its job's directory."""


# Results


class CannotTrain(msgspec.Struct, frozen=True, kw_only=True):
    """Why no training can start on this machine, and what to type."""

    message: str
    suggestion: str | None = None


class DeviceReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine does now. A figure that cannot be had is None, never 0.

    All but `devices` and `cannot_train` is about the first device, the one that jobs get which ask for `auto`.

    Attributes:
        name: the device's name, e.g. `CPU, 2 cores` or `NVIDIA H100`.
        kind: `cpu`, `cuda` or `jetson`.
        load: 0 to 1.  memory_*: bytes.  temperature: degrees Celsius.  power: watts.
        missing: for each figure that is None, the reason.
        cannot_train: why no training can start: torch is missing, does not fit or does not load. None where one can, and
            while that is not known.
        devices: every device: the Jetson or the NVIDIA cards in the driver's order, then the processor. Empty from a
            supervisor that is older than this field.
    """

    name: str
    kind: str
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    missing: dict[str, str] = {}
    cannot_train: CannotTrain | None = None
    devices: tuple[DeviceLoad, ...] = ()


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
    """`troubles`: for the user, the background work that has failed and is tried again."""

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


# Requests. A job is named by its id, a unique prefix of the id, or its name; a template likewise.

R = TypeVar("R", bound=Result)


class BaseRequest(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """What all requests share: `id`, which the client fills in, and the type of their result."""

    id: int = 0

    def answer_type(self) -> type[R]:
        """The type of the result."""
        answer: type[R] = get_args(vars(type(self))["__orig_bases__"][0])[0]
        return answer


class Subscribe(BaseRequest[Snapshot], frozen=True, tag="subscribe"):
    """Events follow the snapshot."""


class Submit(BaseRequest[Submitted], frozen=True, tag="submit"):
    """A training spec as JSON (paths absolute).

    `template`: one whose use is counted. `after`: a job that must complete before this one starts.
    """

    spec: dict[str, Any]
    template: str | None = None
    after: str | None = None


class GetJob(BaseRequest[OneJob], frozen=True, tag="get_job"):
    job: str


class GetJobs(BaseRequest[ManyJobs], frozen=True, tag="get_jobs"):
    """All jobs, oldest first."""


class StopJobs(BaseRequest[ManyJobs], frozen=True, tag="stop_jobs"):
    """Answered as soon as the request is recorded; the jobs end later. (So are the next four.)"""

    jobs: tuple[str, ...]


class PauseJobs(BaseRequest[ManyJobs], frozen=True, tag="pause_jobs"):
    """Hold jobs between two steps. `unload` (`release` on the wire): save, and free their memory."""

    jobs: tuple[str, ...]
    unload: bool = msgspec.field(default=False, name="release")


class ResumeJobs(BaseRequest[ManyJobs], frozen=True, tag="resume_jobs"):
    """Let paused jobs go on, and ended ones from their newest sound checkpoint."""

    jobs: tuple[str, ...]


class CheckpointJobs(BaseRequest[ManyJobs], frozen=True, tag="checkpoint_jobs"):
    """Save a checkpoint after the present step."""

    jobs: tuple[str, ...]


class RetryJobs(BaseRequest[ManyJobs], frozen=True, tag="retry_jobs"):
    """Queue ended jobs again, from the start; what the earlier attempt wrote is removed, except its log."""

    jobs: tuple[str, ...]


class KeepCheckpoints(BaseRequest[ManyJobs], frozen=True, tag="keep_checkpoints"):
    """Keep other checkpoints of a job than its spec says; those that no rule keeps any more are removed.

    At once where no process of the job lives; otherwise by the trainer, after its next save.
    """

    job: str
    keep_first: bool
    keep_last: Annotated[int, msgspec.Meta(ge=1)]
    keep_every: Union[Annotated[int, msgspec.Meta(ge=1)], None]
    keep_best: bool


class Place(str, Enum):
    """A place in the queue."""

    FIRST = "first"
    LAST = "last"
    UP = "up"
    DOWN = "down"


class MoveJobs(BaseRequest[ManyJobs], frozen=True, tag="move_jobs"):
    """Give queued jobs another place. Answered by all queued jobs, in their order."""

    jobs: tuple[str, ...]
    to: Place


class DeleteJobs(BaseRequest[ManyJobs], frozen=True, tag="delete_jobs"):
    """Delete ended jobs with their directories. Answered by the jobs as they were."""

    jobs: tuple[str, ...]


class GetPreferences(BaseRequest[KeptPreferences], frozen=True, tag="get_preferences"):
    pass


class SetPreferences(BaseRequest[KeptPreferences], frozen=True, tag="set_preferences"):
    """Change the named ones; all or none."""

    values: dict[str, Any]


class GetTemplates(BaseRequest[ManyTemplates], frozen=True, tag="get_templates"):
    """Favourites first, then by last use."""


class GetDeletedTemplates(BaseRequest[ManyTemplates], frozen=True, tag="get_deleted_templates"):
    """Since version 3: those that `RestoreTemplate` can bring back, the one that was deleted last first."""


class SaveTemplate(BaseRequest[OneTemplate], frozen=True, tag="save_template"):
    """`name` empty: made from the spec. A taken name gets `_2`."""

    spec: dict[str, Any]
    name: str = ""
    description: str = ""


class EditTemplate(BaseRequest[OneTemplate], frozen=True, tag="edit_template"):
    """Change what is not None. Of a built-in template only `favorite` and `used` can be set."""

    template: str
    name: str | None = None
    description: str | None = None
    favorite: bool | None = None
    used: bool = False
    spec: dict[str, Any] | None = None


class DuplicateTemplate(BaseRequest[OneTemplate], frozen=True, tag="duplicate_template"):
    template: str


class DeleteTemplate(BaseRequest[OneTemplate], frozen=True, tag="delete_template"):
    """`RestoreTemplate` brings the template of the answer back."""

    template: str


class RestoreTemplate(BaseRequest[OneTemplate], frozen=True, tag="restore_template"):
    template: Template


class ImportTemplates(BaseRequest[Imported], frozen=True, tag="import_templates"):
    """`text`: the content of a file, 1 MiB at most."""

    text: str


class GetStatus(BaseRequest[SupervisorStatus], frozen=True, tag="get_status"):
    pass


class Shutdown(BaseRequest[Done], frozen=True, tag="shutdown"):
    """The supervisor answers, then leaves; its trainers go on."""


Request = Union[
    Subscribe, Submit, GetJob, GetJobs, StopJobs, PauseJobs, ResumeJobs, CheckpointJobs, RetryJobs, MoveJobs, DeleteJobs,
    KeepCheckpoints, GetPreferences, SetPreferences, GetTemplates, GetDeletedTemplates, SaveTemplate, EditTemplate,
    DuplicateTemplate, DeleteTemplate, RestoreTemplate, ImportTemplates, GetStatus, Shutdown,
]  # fmt: skip


# Answers and events


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    id: int
    result: Result


class JobsPart(msgspec.Struct, frozen=True, tag="jobs_part"):
    """Since version 3: the first, or the next, jobs of the reply with this id, in order. The reply itself then has none."""

    id: int
    jobs: tuple[Job, ...]


class Failure(msgspec.Struct, frozen=True, tag="failure", kw_only=True):
    """A request that was refused; `id` is None where none could be read."""

    id: int | None = None
    kind: str
    message: str
    suggestion: str | None = None
    problems: tuple[Problem, ...] = ()


class JobChanged(msgspec.Struct, frozen=True, tag="job_changed"):
    """A new job, a new state, or new figures. `progress_only`: newer progress of the same job may replace it."""

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
FromSupervisor = Union[Welcome, Reply, JobsPart, Failure, Event, Goodbye]
