"""Whose a run directory is: the supervisor leaves a sealed copy of the job's record in it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from saetui.regular import read_regular
from saetui.rundir.sealed import check_seal

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
