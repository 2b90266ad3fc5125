"""What the client knows: jobs, templates, the device and the connection, folded from what the supervisor sends."""

from __future__ import annotations

from enum import Enum

from saetui.jobs.job import Job, Status, queue_order
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.protocol import messages


class Connection(Enum):
    """The state of the connection to the supervisor."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


class Model:
    """The newest state of everything that is shown. Screens read it; only the app changes it.

    Attributes:
        jobs: by id, oldest first.
        device: None until the supervisor has read it.
        preferences: None until a supervisor that keeps them has sent them.
        known: a supervisor has sent a snapshot at least once.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.templates: tuple[Template, ...] = ()
        self.device: messages.DeviceReading | None = None
        self.preferences: Preferences | None = None
        self.connection = Connection.CONNECTING
        self.known = False

    def replace(self, snapshot: messages.Snapshot) -> None:
        """Start from a snapshot; earlier knowledge is forgotten."""
        self.jobs = {job.id: job for job in snapshot.jobs}
        self.templates = snapshot.templates
        self.device = snapshot.device or self.device
        self.preferences = snapshot.preferences
        self.connection = Connection.CONNECTED
        self.known = True

    def apply(self, change: messages.Change) -> bool:
        """Fold one change in. Returns whether it is only progress, which may wait for the next repaint."""
        if isinstance(change, messages.JobChanged):
            known = self.jobs.get(change.job.id)
            self.jobs[change.job.id] = change.job
            return change.progress_only and known is not None and known.status is change.job.status
        if isinstance(change, messages.JobRemoved):
            self.jobs.pop(change.id, None)
        elif isinstance(change, messages.TemplatesChanged):
            self.templates = change.templates
        elif isinstance(change, messages.PreferencesChanged):
            self.preferences = change.preferences
        else:
            assert isinstance(change, messages.DeviceChanged)
            before, self.device = self.device, change.reading
            return before is None or before.cannot_train == change.reading.cannot_train
        return False

    def lose(self) -> None:
        """The connection is gone; the last state stays, marked as old."""
        self.connection = Connection.LOST

    def count(self, *statuses: Status) -> int:
        """How many jobs are in one of these states."""
        return sum(job.status in statuses for job in self.jobs.values())

    def places(self) -> dict[str, int]:
        """The queued jobs' places in the queue, from 1."""
        return {job.id: place for place, job in enumerate(queue_order(self.jobs.values()), start=1)}
