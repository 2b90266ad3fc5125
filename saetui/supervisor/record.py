"""What the supervisor keeps of a job, in the store and once more in the job's own directory."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import FormatError
from saetui.formats.durable import write_durably
from saetui.formats.names import plain_name
from saetui.formats.regular import read_regular
from saetui.formats.sealed import decode_sealed, seal
from saetui.jobs.job import Job, Status
from saetui.rundir.layout import RunDirectory, require_own_directory

CPU = "cpu"
log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A job, and what only the supervisor needs to know of it.

    Attributes:
        device: the one device that the job holds while it lives; never `auto`.
        events_from: where in the event log the present attempt begins, in bytes.
        clean: what earlier attempts wrote must be removed before the job starts.
        auto_resume: the job shall be started again by itself (`revive` in the files).
    """

    job: Job
    device: str
    events_from: int = 0
    clean: bool = False
    auto_resume: bool = msgspec.field(default=False, name="revive")

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def run(self) -> RunDirectory:
        """The job's directory."""
        return RunDirectory(Path(self.job.directory))

    def with_job(self, **changes: Any) -> Record:
        """The record with other values in some fields of its job."""
        return msgspec.structs.replace(self, job=msgspec.structs.replace(self.job, **changes))


def copy_path(run: RunDirectory) -> Path:
    """The copy of the record, from which a lost store is rebuilt."""
    return run.job_copy


def write_copy(record: Record) -> None:
    """Write the record into the job's directory.

    Raises:
        OSError: no room, the directory is gone, or the directory of another job is in its place.
    """
    require_own_directory(record.run)
    write_durably(copy_path(record.run), seal(msgspec.json.encode(record)))


def acknowledge(run: RunDirectory) -> None:
    """Remove the mark of a submission. The store has the job, and that counts more than a mark that cannot be removed."""
    try:
        run.acknowledge()
    except OSError as error:
        log.warning("%s: the mark of its submission stays for now: %s", run.path, error)


def rebuild(run: RunDirectory) -> Record | None:
    """The record of a directory that the store does not know; None when it holds no job, or a copy of another job's."""
    try:
        record = decode_sealed(read_regular(copy_path(run)), Record)
        if record.id != run.id:
            return None
        # The directory may come from anywhere, and the name goes to terminals: it must be one that could be given here.
        return record.with_job(name=plain_name(record.job.name), directory=str(run.path))
    except (OSError, msgspec.DecodeError):
        return _rebuild_from_spec(run)


def _rebuild_from_spec(run: RunDirectory) -> Record | None:
    try:
        spec = run.read_spec()
        made = datetime.fromtimestamp(run.spec.stat().st_mtime, timezone.utc)
        job = Job(
            id=run.path.name,
            name=plain_name(str(spec.get("name") or run.path.name)),
            status=Status.STARTING if run.events.exists() else Status.QUEUED,
            architecture=str(spec["architecture"]),
            model=str(spec["model"]),
            layers=tuple(spec["layers"]),
            hook_points=tuple(spec["hook_points"]),
            directory=str(run.path),
            created_at=made.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )
    except (OSError, FormatError, KeyError, TypeError):
        return None
    device = spec.get("device")
    return Record(job=job, device=device if isinstance(device, str) and device != "auto" else CPU)
