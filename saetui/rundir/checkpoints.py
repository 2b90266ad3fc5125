"""Checkpoints on disk: each a directory with a manifest that was written last and says what must be in it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from saetui.errors import FormatError
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, fsync_file, write_durably
from saetui.formats.regular import read_regular
from saetui.formats.sealed import decode_sealed, seal
from saetui.rundir.ownership import recorded_id

MANIFEST = "manifest.json"
WAY_OUT = "Resume from an older checkpoint; this one is not sound."
_NAME = re.compile(r"step_(\d{9,})")
_DELETED = ".deleted"
_HIDDEN = re.compile(r"\.step_\d{9,}\.[0-9a-f]{8}(\.deleted)?")
"""What a save or a removal is called while it lasts; nothing else is ever swept."""


class FileRecord(msgspec.Struct, frozen=True):
    """Size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint consists of.

    Attributes:
        job: the id of the job that it belongs to: the name of its run directory. None in those written before 0.2.
        fvu: held-out, the mean over sites, where it was measured.
        l0: of the same evaluation; None in those written before 0.2.
    """

    version: int = 1
    job: str | None = None
    step: int
    created_at: str
    files: dict[str, FileRecord]
    fvu: float | None = None
    l0: float | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that has a manifest (its files are not verified yet)."""

    step: int
    path: Path
    created_at: str
    size_bytes: int
    fvu: float | None
    l0: float | None = None


@contextmanager
def new_checkpoint(directory: Path, step: int, fvu: float | None = None, l0: float | None = None) -> Iterator[Path]:
    """A hidden directory to write a checkpoint's files into; it becomes the checkpoint when the block ends well.

    A checkpoint of the same step is replaced. When the block fails nothing is left behind.

    Args:
        directory: the job's `checkpoints`.
        step: finished steps.
        fvu: see the manifest.
        l0: see the manifest.

    Raises:
        OSError: no room; the checkpoints that are there stay.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = directory / f"step_{step:09d}"
    hidden = directory / f".{final.name}.{secrets.token_hex(4)}"
    hidden.mkdir(mode=0o700)
    try:
        hit("checkpoint.begin")
        yield hidden
        files = {}
        for path in sorted(hidden.iterdir()):
            hit("checkpoint.fsync")
            fsync_file(path)
            files[path.name] = _record(path)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        manifest = Manifest(job=_job_of(final), step=step, created_at=now, files=files, fvu=fvu, l0=l0)
        content = seal(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        write_durably(hidden / MANIFEST, content, point="manifest")
        replaced = _step_aside(final) if final.exists() else None
        # Killed from here on, `sweep` finds a whole checkpoint under the hidden name and gives it its own.
        hit("checkpoint.rename")
        os.rename(hidden, final)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    hit("checkpoint.directory")
    fsync_directory(directory)
    if replaced is not None:
        shutil.rmtree(replaced)


def list_checkpoints(directory: Path) -> list[CheckpointInfo]:
    """The checkpoints that have a readable manifest, oldest step first."""
    found = []
    for path in _named(directory):
        try:
            manifest = _read_manifest(path)
        except FormatError:
            continue
        size = sum(record.size for record in manifest.files.values())
        found.append(CheckpointInfo(manifest.step, path, manifest.created_at, size, manifest.fvu, manifest.l0))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def verify_checkpoint(path: Path) -> Manifest:
    """Read every byte and compare with the manifest.

    Raises:
        FormatError: a file is missing, has another size, or another content; or it is the checkpoint of another job.
    """
    manifest = _read_manifest(path)
    if manifest.job is not None and manifest.job != _job_of(path):
        raise FormatError(
            f"{path.absolute()} is a checkpoint of the job {manifest.job}, not of {_job_of(path)}.", WAY_OUT
        )
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise FormatError(f"{file.absolute()} is missing.", WAY_OUT)
        if _record(file) != expected:
            raise FormatError(f"{file.absolute()} is not what its manifest says.", WAY_OUT)
    return manifest


def newest_sound(directory: Path, refused: list[FormatError] | None = None) -> CheckpointInfo | None:
    """The newest checkpoint whose files verify; there is no file that points at "the latest".

    Args:
        directory: the job's `checkpoints`.
        refused: is given the reason for each newer one that does not verify, newest first.
    """
    for path in sorted(_named(directory), key=_step_of, reverse=True):
        try:
            manifest = verify_checkpoint(path)
        except FormatError as error:
            if refused is not None:
                refused.append(error)
            continue
        size = sum(record.size for record in manifest.files.values())
        return CheckpointInfo(manifest.step, path, manifest.created_at, size, manifest.fvu, manifest.l0)
    return None


def delete_checkpoint(path: Path) -> None:
    """Remove a checkpoint; renamed first, so that a half removed one is never taken for a checkpoint."""
    hidden = _step_aside(path)
    hit("checkpoint.delete")
    shutil.rmtree(hidden)


def sweep(directory: Path) -> None:
    """Remove what an interrupted save or removal left behind; a save that only lacked its name gets it.

    What cannot be removed stays: it is in nobody's way.
    """
    if not directory.is_dir():
        return
    for path in list(directory.iterdir()):
        if not _HIDDEN.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        final = directory / path.name.split(".")[1]
        if not path.name.endswith(_DELETED) and not final.exists() and _is_whole(path):
            os.rename(path, final)
            fsync_directory(directory)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _named(directory: Path) -> list[Path]:
    """The directories that are called checkpoints."""
    return [path for path in directory.iterdir() if _NAME.fullmatch(path.name)] if directory.is_dir() else []


def _step_of(path: Path) -> int:
    """The step that a checkpoint's name says, hidden or not."""
    found = _NAME.search(path.name)
    assert found is not None, path
    return int(found[1])


def _job_of(path: Path) -> str:
    """The id of the job whose directory `runs/<id>/checkpoints` a checkpoint lies in.

    As the directory itself says it: it may be reached by a link of another name, or by a relative path. Without that word
    (a training that was started by hand) its name counts.
    """
    directory = path.absolute().parent.parent
    return recorded_id(directory) or directory.name


def _step_aside(path: Path) -> Path:
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_DELETED}")
    os.rename(path, hidden)
    return hidden


def _is_whole(path: Path) -> bool:
    try:
        verify_checkpoint(path)
    except FormatError:
        return False
    return True


def _record(path: Path) -> FileRecord:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return FileRecord(file.tell(), digest.hexdigest())


def _read_manifest(path: Path) -> Manifest:
    try:
        manifest = decode_sealed(read_regular(path / MANIFEST), Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise FormatError(f"{path.absolute()} has no readable {MANIFEST}: {error}.", WAY_OUT) from error
    if manifest.step != _step_of(path):
        raise FormatError(f"{path.absolute()} holds the checkpoint of step {manifest.step}.", WAY_OUT)
    return manifest
