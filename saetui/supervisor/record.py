"""What the supervisor keeps of a job, in the store and once more in the job's own directory."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import msgspec

from saetui.errors import FormatError
from saetui.formats.durable import write_durably
from saetui.formats.names import plain_name
from saetui.formats.regular import read_regular
from saetui.formats.sealed import decode_sealed, seal
from saetui.jobs.job import Job, Status
from saetui.rundir.layout import JOB_COPY, RunDirectory, require_own_directory

CPU = "cpu"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A job and what only the supervisor needs of it.

    Attributes:
        device: the one device that the job holds while it lives, `auto` resolved.
        events_from: where in the event log the present try begins, in bytes; what is before it was said by earlier ones.
        clean: what earlier tries wrote is still to be removed before the job starts.
        revive: it shall be started again by itself.
    """

    job: Job
    device: str
    events_from: int = 0
    clean: bool = False
    revive: bool = False

    @property
    def id(self) -> str:
        return self.job.id


def copy_path(run: RunDirectory) -> Path:
    """Where the record's copy lies, from which a lost store is rebuilt."""
    return run.path / JOB_COPY


def write_copy(record: Record) -> None:
    """Put the record into the job's directory.

    Raises:
        OSError: no room, the directory is gone, or that of another job is in its place.
    """
    run = RunDirectory(Path(record.job.directory))
    require_own_directory(run)
    write_durably(copy_path(run), seal(msgspec.json.encode(record)))


def rebuild(run: RunDirectory) -> Record | None:
    """The record of a directory that the store does not know; None when it holds no job, or is a copy of another one's."""
    try:
        record = decode_sealed(read_regular(copy_path(run)), Record)
        if record.id != run.id:
            return None
        # The directory may have been anywhere: its name goes to terminals, so it must be one that could be given here.
        name = plain_name(record.job.name)
        job = msgspec.structs.replace(record.job, name=name, directory=str(run.path))
        return msgspec.structs.replace(record, job=job)
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
