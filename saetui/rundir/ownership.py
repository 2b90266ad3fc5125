"""Whose a run directory is: the supervisor leaves a sealed copy of the job's record in it."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec

from saetui.formats.regular import read_regular
from saetui.formats.sealed import check_seal
from saetui.rundir.layout import RunDirectory

JOB_COPY = "job.json"


class _Job(msgspec.Struct):
    id: str


class _Copy(msgspec.Struct):
    job: _Job


def recorded_id(directory: Path) -> str | None:
    """The id of the job whose record lies in a directory; None where there is none, or none that is whole."""
    try:
        content = read_regular(directory / JOB_COPY)
        return msgspec.json.decode(content, type=_Copy).job.id if check_seal(content) else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def require_own_directory(run: RunDirectory) -> None:
    """See that in the place of a job's directory there is not that of another job.

    Raises:
        OSError: there is.
    """
    holds = recorded_id(run.path)
    if holds not in (None, run.id):
        raise OSError(errno.EEXIST, f"the directory of job {holds} is in the place of its own", str(run.path))
