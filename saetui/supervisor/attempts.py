"""The tries of a job: each is one life of its processes, and none takes the traces of an earlier one for its own."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import msgspec

from saetui.errors import FormatError
from saetui.formats.directories import remove_tree
from saetui.formats.durable import fsync_directory
from saetui.jobs.job import DesiredState
from saetui.rundir.control import Control, read_control, write_control
from saetui.rundir.layout import RunDirectory
from saetui.supervisor.record import Record

REMOVED = ("metrics", "checkpoints", "sae", "events.jsonl", "control.json", "identity.json", "exit.json")
"""What a start from the beginning removes. The log stays: it says why the earlier try is no more."""


_EARLIER = re.compile(rf"\.earlier\.(({'|'.join(map(re.escape, REMOVED))})\.)?[0-9a-f]{{8}}\.deleted")
"""What was to be removed. Without a name in it: a directory of several, by an older saetui."""


def run_of(record: Record) -> RunDirectory:
    """The job's directory."""
    return RunDirectory(Path(record.job.directory))


def never_started(run: RunDirectory, events_from: int) -> bool:
    """Whether no trainer of this try has ever lived: neither it nor its runner has left a trace."""
    return not run.identity.exists() and not run.exit.exists() and _size(run.events) <= events_from


def forget_end(record: Record) -> Record:
    """Make ready for another try, which goes on from the newest checkpoint; the record with where its events begin.

    Done before the job is recorded as queued: a supervisor that is killed in between finds an ended job whose end is
    recorded, and nobody who asks for its traces.

    Raises:
        OSError: no room or no permission.
    """
    run = run_of(record)
    for path in (run.identity, run.exit):
        path.unlink(missing_ok=True)
    if run.path.is_dir():
        fsync_directory(run.path)
        wish(run, DesiredState.RUN)
    return msgspec.structs.replace(record, events_from=_size(run.events))


def clear(record: Record) -> None:
    """Remove what earlier tries wrote, but for their log. May be interrupted, and done again.

    Raises:
        OSError: no permission, or the disk fails; what was not removed yet is removed by the next call.
    """
    run = run_of(record)
    for name in REMOVED:
        if os.path.lexists(run.path / name):
            # Renamed first, each by itself: that takes no room, and nothing half removed is taken for whole.
            os.rename(run.path / name, run.path / f".earlier.{name}.{secrets.token_hex(4)}.deleted")
    fsync_directory(run.path)
    for entry in list(run.path.iterdir()):
        if _EARLIER.fullmatch(entry.name):
            remove_tree(entry)
    for directory in (run.metrics, run.checkpoints):
        directory.mkdir(mode=0o700)
    fsync_directory(run.path)


def wish(run: RunDirectory, wanted: DesiredState) -> bool:
    """See that the job's control file says this; whether it had to be written.

    Raises:
        OSError: no room.
    """
    try:
        found = read_control(run)
    except FormatError:
        # Only the count of checkpoints is lost with it, and a count that begins anew asks for none.
        write_control(run, Control(desired_state=wanted))
        return True
    if found.desired_state is wanted:
        return False
    write_control(run, msgspec.structs.replace(found, desired_state=wanted))
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
