"""The attempts of a job: each is one life of its processes, and none mistakes the traces of an earlier one for its own."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import msgspec

from saetui.errors import FormatError
from saetui.formats.directories import remove_tree
from saetui.formats.durable import fsync_directory
from saetui.formats.run_files import CHECKPOINTS, CONTROL, EVENTS, EXIT, IDENTITY, METRICS, SAE
from saetui.jobs.job import DesiredState
from saetui.rundir.control import Control, read_control, write_control
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.record import Record

REMOVED = (METRICS, CHECKPOINTS, SAE, EVENTS, CONTROL, IDENTITY, EXIT)
"""What a start from the beginning removes. The log stays: it says how the earlier attempt ended."""

_EARLIER = re.compile(rf"\.earlier\.(({'|'.join(map(re.escape, REMOVED))})\.)?[0-9a-f]{{8}}\.deleted")
"""What is being removed. Without a name in it: a directory of several, made by an older saetui."""


def never_started(run: RunDirectory, events_from: int) -> bool:
    """Whether no trainer of this attempt has ever lived: neither it nor its runner has left a trace."""
    return not run.identity.exists() and not run.exit.exists() and _size(run.events) <= events_from


def forget_end(record: Record) -> Record:
    """Make ready for another attempt from the newest checkpoint. Returns the record with where its events begin.

    Called before the job is recorded as queued: when the supervisor is killed in between, the job has ended, its end is
    recorded, and nothing asks for the traces of that end.

    Raises:
        OSError: no room or no permission.
    """
    run = record.run
    for path in (run.identity, run.exit):
        path.unlink(missing_ok=True)
    if run.path.is_dir():
        fsync_directory(run.path)
        write_desired_state(run, DesiredState.RUN)
    return msgspec.structs.replace(record, events_from=_size(run.events))


def remove_earlier(record: Record) -> None:
    """Remove what earlier attempts wrote, except their log. May be interrupted, and called again.

    Raises:
        OSError: no permission, or the disk fails. The next call removes what is left.
    """
    run = record.run
    for name in REMOVED:
        if os.path.lexists(run.path / name):
            # Renamed first, each by itself: that needs no room, and nothing half removed is mistaken for whole.
            os.rename(run.path / name, run.path / f".earlier.{name}.{secrets.token_hex(4)}.deleted")
    fsync_directory(run.path)
    for entry in list(run.path.iterdir()):
        if _EARLIER.fullmatch(entry.name):
            remove_tree(entry)
    for directory in (run.metrics, run.checkpoints):
        directory.mkdir(mode=0o700)
    fsync_directory(run.path)


def write_desired_state(run: RunDirectory, wanted: DesiredState) -> None:
    """Write the desired state into the job's control file, unless the file has it already.

    Raises:
        OSError: no room.
    """
    try:
        control = read_control(run)
    except FormatError:
        # Only the count of checkpoints is lost, and a count that begins anew asks for none.
        write_control(run, Control(desired_state=wanted))
        return
    if control.desired_state is not wanted:
        write_control(run, msgspec.structs.replace(control, desired_state=wanted))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
