"""What the client knows: jobs, templates, the device and the connection, folded from what the supervisor sends."""

from __future__ import annotations

from enum import Enum

from saetui.jobs.job import Job, Status, queue_order
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.protocol.messages import (
    Change,
    DeviceChanged,
    DeviceReading,
    JobChanged,
    JobRemoved,
    PreferencesChanged,
    Snapshot,
    TemplatesChanged,
)


class Connection(Enum):
    """How it stands with the supervisor."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


class Model:
    """The newest state of everything that is shown. Screens read it; only the app changes it.

    Attributes:
        jobs: by id, oldest first.
        device: None until the supervisor has read it.
        preferences: None until a supervisor that keeps them has told.
        reason: why the connection is lost.
        known: a supervisor has told at least once what there is.
        version: grows with every change.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.templates: tuple[Template, ...] = ()
        self.device: DeviceReading | None = None
        self.preferences: Preferences | None = None
        self.connection = Connection.CONNECTING
        self.reason = ""
        self.known = False
        self.version = 0

    def replace(self, snapshot: Snapshot) -> None:
        """Start from a snapshot; what was known before is forgotten."""
        self.jobs = {job.id: job for job in snapshot.jobs}
        self.templates = snapshot.templates
        self.device = snapshot.device or self.device
        self.preferences = snapshot.preferences
        self.connection = Connection.CONNECTED
        self.reason = ""
        self.known = True
        self.version += 1

    def apply(self, change: Change) -> bool:
        """Fold one change in. Returns whether it is only progress, which may wait for the next repaint."""
        self.version += 1
        if isinstance(change, JobChanged):
            known = self.jobs.get(change.job.id)
            self.jobs[change.job.id] = change.job
            return change.progress_only and known is not None and known.status is change.job.status
        if isinstance(change, JobRemoved):
            self.jobs.pop(change.id, None)
            return False
        if isinstance(change, TemplatesChanged):
            self.templates = change.templates
            return False
        if isinstance(change, PreferencesChanged):
            self.preferences = change.preferences
            return False
        assert isinstance(change, DeviceChanged)
        self.device = change.reading
        return True

    def lose(self, reason: str) -> None:
        """The connection is gone; what is known stays, marked as old."""
        self.connection = Connection.LOST
        self.reason = reason
        self.version += 1

    def count(self, *statuses: Status) -> int:
        """How many jobs are in one of these states."""
        return sum(job.status in statuses for job in self.jobs.values())

    @property
    def live(self) -> int:
        """How many jobs have a process."""
        return sum(job.holds_device for job in self.jobs.values())

    def places(self) -> dict[str, int]:
        """The queued jobs' places in the queue, the next one's is 1."""
        return {job.id: place for place, job in enumerate(queue_order(self.jobs.values()), start=1)}
