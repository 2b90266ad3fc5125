"""The layout of a job's directory: the truth about its progress, readable without torch and without a supervisor."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import FormatError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, write_durably
from saetui.formats.regular import read_regular

SUBMISSION = ".submission"
"""In a directory whose job nobody was told of yet: made first, with the job's id, removed when the job is acknowledged."""


@dataclass(frozen=True)
class RunDirectory:
    """`runs/<job id>/`; the names in it are a contract (design.md, "A job").

    Attributes:
        job_id: where the path does not end in it.
    """

    path: Path
    job_id: str = ""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job_id or self.path.name

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def spec_checksum(self) -> Path:
        """The checksum of spec.json, as sha256sum writes and checks it."""
        return self.path / "spec.json.sha256"

    @property
    def identity(self) -> Path:
        """Who runs the job: written by the runner."""
        return self.path / "identity.json"

    @property
    def exit(self) -> Path:
        """How the trainer ended: written by the runner."""
        return self.path / "exit.json"

    @property
    def lock(self) -> Path:
        """Held (flock) for as long as a process of the job lives."""
        return self.path / "run.lock"

    @property
    def submission(self) -> Path:
        """The mark of a submission that is not acknowledged yet."""
        return self.path / SUBMISSION

    @property
    def log(self) -> Path:
        return self.path / "trainer.log"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics"

    @property
    def training_metrics(self) -> Path:
        """Per site, every log interval."""
        return self.metrics / "training.rows"

    @property
    def evaluation_metrics(self) -> Path:
        """Per site, on held-out text."""
        return self.metrics / "evaluation.rows"

    @property
    def job_metrics(self) -> Path:
        """Per job: speed, tokens, memory, time. Its only site is called `job`."""
        return self.metrics / "job.rows"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def sae(self) -> Path:
        return self.path / "sae"

    def result(self, site: str) -> Path:
        """The finished SAE of one site in SAELens layout."""
        return self.sae / site

    def results(self) -> list[Path]:
        """The finished SAEs that are there."""
        if not self.sae.is_dir():
            return []
        # Hidden ones are being written, or were when their writer was killed.
        there = [entry for entry in self.sae.iterdir() if not entry.name.startswith(".")]
        return sorted(entry for entry in there if (entry / "cfg.json").is_file())

    def entered(self) -> RunDirectory:
        """The same directory for a process that works in it: each name in it stays right when the home is moved.

        Raises:
            OSError: it cannot be entered.
        """
        os.chdir(self.path)
        return RunDirectory(Path(), self.id)

    def create(self, spec: dict[str, Any]) -> None:
        """Make the directory with its spec, marked as not acknowledged yet; or nothing at all.

        Raises:
            FileExistsError: the job's directory is there already.
            OSError: no room or no permission; what was made is taken away again.
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
                raise FileExistsError(f"{self.path} is there already")
            hit("run.rename")
            os.rename(hidden, self.path)
        except BaseException:
            for directory in (made.metrics, made.checkpoints):
                if directory.is_dir():
                    directory.rmdir()
            made.spec.unlink(missing_ok=True)
            made.spec_checksum.unlink(missing_ok=True)
            made.submission.unlink(missing_ok=True)
            hidden.rmdir()
            raise
        hit("run.directory")
        fsync_directory(self.path.parent)

    def acknowledge(self) -> None:
        """The job is recorded elsewhere: its directory is never taken for half of a submission again.

        Raises:
            OSError: the mark cannot be removed.
        """
        self.submission.unlink(missing_ok=True)

    def read_spec(self) -> dict[str, Any]:
        """The spec as the job was asked.

        Raises:
            FormatError: it is missing or damaged.
        """
        way_out = "The job cannot be resumed; delete it and start it anew."
        try:
            content = read_regular(self.spec)
            if self.spec_checksum.exists() and read_regular(self.spec_checksum) != _checksum_line(content):
                raise FormatError(
                    f"{self.spec.absolute()} is damaged: it does not match {self.spec_checksum.name}.", way_out
                )
            return msgspec.json.decode(content, type=dict[str, Any])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"{self.spec.absolute()} cannot be read: {error}.", way_out) from error


def _write_mark(path: Path, job_id: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, f"{job_id}\n".encode())
    finally:
        os.close(descriptor)


def _checksum_line(spec: bytes) -> bytes:
    return f"{hashlib.sha256(spec).hexdigest()}  spec.json\n".encode()
