"""How a job ended, from what its processes left behind."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

import msgspec

from saetui.formats.regular import NotRegular, TooLarge, read_regular
from saetui.formats.sealed import decode_sealed
from saetui.jobs.job import Job, JobError, Status
from saetui.launch.identity import boot_id, identify, read_identities
from saetui.launch.presence import is_deleted, working_directory
from saetui.rundir.events import LoggedEvent
from saetui.rundir.layout import RunDirectory
from saetui.rundir.log import last_lines
from saetui.supervisor.attempts import never_started

_REPORTED = {"completed": Status.COMPLETED, "stopped": Status.STOPPED, "failed": Status.FAILED, "paused": Status.PAUSED}
_LINE_LIMIT = 200
RESUME = "Resume it: it goes on from its newest checkpoint."
_READ_LOG = "Look at its log, then resume it: it goes on from its newest checkpoint."

COPIED = "copied"
"""The kind of error of a job in a copied home that lives in the original."""

KILLED, LOST = "killed", "lost"
"""Kinds of errors that came from outside: the training itself did nothing wrong."""


class Exit(msgspec.Struct, frozen=True):
    """The runner's record: the trainer's exit code, or the signal that killed it."""

    code: int | None
    signal: int | None
    out_of_memory: bool
    ended_at: str


@dataclass(frozen=True)
class Outcome:
    """The last state of a job."""

    status: Status
    error: JobError | None = None


def judge(job: Job, run: RunDirectory, ended: LoggedEvent | None, events_from: int = 0) -> Outcome:
    """How a job ended of which no process lives. `paused`: it freed its memory, as it was asked.

    Args:
        job: as it was last known; `stopping` when it had been asked to stop.
        run: its directory.
        ended: the last event of its trainer in this attempt, if there is one.
        events_from: where in the event log this attempt begins.
    """
    asked_to_stop = job.status is Status.STOPPING
    found = read_exit(run.exit)
    reported = _REPORTED.get(str(ended.data.get("outcome"))) if ended is not None else None
    if ended is not None and reported is not None:
        error = _reported_error(ended) if reported is Status.FAILED else None
        return Outcome(Status.STOPPED if asked_to_stop and reported is Status.PAUSED else reported, error)
    if asked_to_stop and never_started(run, events_from):
        return Outcome(Status.STOPPED)
    if found is None:
        return _judge_without_exit(run)
    if asked_to_stop and (found.signal == signal.SIGTERM or found.code == 0):
        return Outcome(Status.STOPPED)
    return Outcome(Status.FAILED, _killed(found) if found.signal is not None else _silent(found, run))


def read_exit(path: Path) -> Exit | None:
    """The runner's record; None when there is none, or none that can be read."""
    try:
        return decode_sealed(read_regular(path), Exit)
    except (FileNotFoundError, NotRegular, TooLarge, msgspec.DecodeError):
        return None


def directory_gone(path: Path) -> JobError:
    """The failure of a job whose directory is not there."""
    return JobError(
        kind="home",
        message=f"Its directory {path} is gone: it was removed, moved away or replaced.",
        suggestion="Put it back and resume the job, or delete the job and submit it again.",
    )


def cannot_start(error: OSError) -> JobError:
    """The failure of a job whose processes cannot be started."""
    return JobError(
        kind="home" if isinstance(error, FileNotFoundError) else "supervisor",
        message=f"Its processes could not be started: {error}.",
        suggestion="Repair what the message names, then resume it.",
    )


def _judge_without_exit(run: RunDirectory) -> Outcome:
    identities = read_identities(run.identity)
    if identities is not None and identify(identities.trainer.pid) == identities.trainer:
        # The trainer lives, but not in this directory: a job that lives is not judged.
        original = working_directory(identities.trainer)
        if original is not None and is_deleted(original):
            message = "The directory in which it trained was removed; this one was put in its place."
            return Outcome(Status.FAILED, JobError(kind=KILLED, message=message, suggestion=RESUME))
        message = "Its directory was copied while the job ran; the training goes on in the original"
        message += f", {original}." if original else "."
        suggestion = "Resume it here: it goes on from its newest checkpoint, and the original is not touched."
        return Outcome(Status.FAILED, JobError(kind=COPIED, message=message, suggestion=suggestion))
    if identities is not None and identities.trainer.boot != boot_id():
        message = "The machine went down while the job ran."
        return Outcome(Status.LOST, JobError(kind=LOST, message=message, suggestion=RESUME))
    message = "Its runner was killed too, so how it ended is not known."
    return Outcome(Status.FAILED, JobError(kind=KILLED, message=message, suggestion=_READ_LOG))


def _reported_error(ended: LoggedEvent) -> JobError:
    try:
        return msgspec.convert(ended.data.get("error"), JobError)
    except msgspec.ValidationError:
        return JobError(kind="training", message=ended.message or "The trainer failed.", suggestion="Look at its log.")


def _killed(found: Exit) -> JobError:
    assert found.signal is not None
    try:
        name = signal.Signals(found.signal).name
    except ValueError:
        name = f"signal {found.signal}"
    if found.out_of_memory:
        return JobError(
            kind=KILLED,
            message=f"The machine ran out of memory and the kernel killed the trainer ({name}).",
            suggestion="Start it again with a smaller batch_size or micro_batch_size, fewer layers, or a narrower SAE.",
        )
    return JobError(kind=KILLED, message=f"The trainer was killed by {name}.", suggestion=_READ_LOG)


def _silent(found: Exit, run: RunDirectory) -> JobError:
    last = last_line(run.log)
    return JobError(
        kind="training",
        message=f"The trainer ended with exit code {found.code} without saying why." + (f" {last}" if last else ""),
        suggestion="Look at its log.",
    )


def last_line(log: Path) -> str:
    """The last line of a log that is not empty, without control characters."""
    try:
        text = "\n".join(last_lines(log, 8192))
    except OSError:
        # The log is no file any more; the outcome does not depend on it.
        return ""
    lines = [line.strip() for line in re.sub(r"[^\n\x20-\x7e\xa0-\U0010ffff]", "", text).split("\n") if line.strip()]
    return lines[-1][:_LINE_LIMIT] if lines else ""
