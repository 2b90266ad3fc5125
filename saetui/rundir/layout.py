"""The layout of a job's directory: the truth about its progress, readable without torch and without a supervisor."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import FormatError
from saetui.failpoints import hit
from saetui.formats import run_files
from saetui.formats.durable import fsync_directory, write_durably
from saetui.formats.names import SAE_CONFIG, Inside
from saetui.formats.regular import read_regular
from saetui.formats.sealed import check_seal


@dataclass(frozen=True)
class RunDirectory:
    """`runs/<job id>/`. The names in it are a contract, which other programs may rely on.

    Attributes:
        job_id: the job's id, where the path does not end in it.
    """

    path: Path
    job_id: str = ""

    @property
    def id(self) -> str:
        return self.job_id or self.path.name

    spec = Inside(run_files.SPEC)
    """As submitted, with every default; never changed."""
    spec_checksum = Inside(run_files.SPEC_CHECKSUM)
    """The checksum of the spec, in the format of sha256sum."""
    identity = Inside(run_files.IDENTITY)
    """The processes that run the job; written by the runner."""
    exit = Inside(run_files.EXIT)
    """How the trainer ended; written by the runner."""
    lock = Inside(run_files.LOCK)
    """Locked (flock) for as long as a process of the job lives."""
    submission = Inside(run_files.SUBMISSION)
    control = Inside(run_files.CONTROL)
    """The requests to the trainer; written by the supervisor."""
    job_copy = Inside(run_files.JOB_COPY)
    """A sealed copy of the job's record; written by the supervisor."""
    log = Inside(run_files.LOG)
    events = Inside(run_files.EVENTS)
    metrics = Inside(run_files.METRICS)
    training_metrics = Inside(f"{run_files.METRICS}/training.rows")
    """For each site, once each log interval."""
    evaluation_metrics = Inside(f"{run_files.METRICS}/evaluation.rows")
    """For each site, on held-out text."""
    job_metrics = Inside(f"{run_files.METRICS}/job.rows")
    """For the whole job: speed, tokens, memory, time. Its only site is called `job`."""
    checkpoints = Inside(run_files.CHECKPOINTS)
    sae = Inside(run_files.SAE)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def result(self, site: str) -> Path:
        """The finished SAE of one site, in SAELens's layout."""
        return self.sae / site

    def results(self) -> list[Path]:
        """The directories of the finished SAEs."""
        if not self.sae.is_dir():
            return []
        # A hidden one is being written, or its writer was killed.
        there = [entry for entry in self.sae.iterdir() if not entry.name.startswith(".")]
        return sorted(entry for entry in there if (entry / SAE_CONFIG).is_file())

    def entered(self) -> RunDirectory:
        """Enter the directory (chdir) and return it by a relative path, which stays right when the home is moved.

        Raises:
            OSError: it cannot be entered.
        """
        os.chdir(self.path)
        return RunDirectory(Path(), self.id)

    def create(self, spec: dict[str, Any]) -> None:
        """Make the directory with its spec, marked as not acknowledged yet, in one step.

        Raises:
            FileExistsError: the job's directory is there already.
            OSError: no room or no permission; nothing is left behind.
        """
        hidden = self.path.with_name(f".{self.path.name}.new")
        made = RunDirectory(hidden)
        hidden.mkdir(mode=0o700, parents=True)
        try:
            _write_mark(made.submission, self.id)
            made.metrics.mkdir(mode=0o700)
            made.checkpoints.mkdir(mode=0o700)
            content = msgspec.json.format(msgspec.json.encode(spec), indent=1)
            write_durably(made.spec, content)
            write_durably(made.spec_checksum, _checksum_line(content))
            if self.path.exists():
                raise FileExistsError(f"{self.path} already exists")
            hit("run.rename")
            os.rename(hidden, self.path)
        except BaseException:
            # Name by name: a file that somebody adds meanwhile stays.
            for directory in (made.metrics, made.checkpoints):
                if directory.is_dir():
                    directory.rmdir()
            for file in (made.spec, made.spec_checksum, made.submission):
                file.unlink(missing_ok=True)
            hidden.rmdir()
            raise
        hit("run.directory")
        fsync_directory(self.path.parent)

    def acknowledge(self) -> None:
        """Remove the mark: the job is recorded, and its directory is no longer the leftover of a submission.

        Raises:
            OSError: the mark cannot be removed.
        """
        self.submission.unlink(missing_ok=True)

    def read_spec(self) -> dict[str, Any]:
        """The spec as it was submitted.

        Raises:
            FormatError: it is missing or damaged.
        """
        way_out = "The job cannot be resumed; delete it and start it again."
        try:
            content = read_regular(self.spec)
            if self.spec_checksum.exists() and read_regular(self.spec_checksum) != _checksum_line(content):
                raise FormatError(
                    f"{self.spec.absolute()} is damaged: it does not match {self.spec_checksum.name}.", way_out
                )
            return msgspec.json.decode(content, type=dict[str, Any])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"{self.spec.absolute()} cannot be read: {error}.", way_out) from error


def recorded_id(directory: Path) -> str | None:
    """The id in the sealed copy of a job's record; None where a directory has no such copy, or a damaged one."""
    try:
        content = read_regular(directory / run_files.JOB_COPY)
        return msgspec.json.decode(content, type=_JobCopy).job.id if check_seal(content) else None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def require_own_directory(run: RunDirectory) -> None:
    """Refuse a directory that stands under a job's id and belongs to another job.

    Raises:
        OSError: it belongs to another job.
    """
    holds = recorded_id(run.path)
    if holds not in (None, run.id):
        raise OSError(errno.EEXIST, f"the directory of job {holds} is in the place of its own", str(run.path))


class _JobId(msgspec.Struct):
    id: str


class _JobCopy(msgspec.Struct):
    job: _JobId


def _write_mark(path: Path, job_id: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, f"{job_id}\n".encode())
    finally:
        os.close(descriptor)


def _checksum_line(spec: bytes) -> bytes:
    return f"{hashlib.sha256(spec).hexdigest()}  {run_files.SPEC}\n".encode()
