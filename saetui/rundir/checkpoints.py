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
from saetui.rundir.durable import fsync_directory, fsync_file, write_durably

MANIFEST = "manifest.json"
_NAME = re.compile(r"step_(\d{9,})")


class FileRecord(msgspec.Struct, frozen=True):
    """Size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint consists of. `fvu`: held-out, the mean over sites, where it was measured."""

    version: int = 1
    step: int
    created_at: str
    files: dict[str, FileRecord]
    fvu: float | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint that has a manifest (its files are not verified yet)."""

    step: int
    path: Path
    created_at: str
    size_bytes: int
    fvu: float | None


@contextmanager
def new_checkpoint(directory: Path, step: int, fvu: float | None = None) -> Iterator[Path]:
    """A hidden directory to write a checkpoint's files into; it becomes the checkpoint when the block ends well.

    A checkpoint of the same step is replaced. When the block fails nothing is left behind.

    Raises:
        OSError: no room; the checkpoints that are there stay.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = directory / f"step_{step:09d}"
    hidden = directory / f".{final.name}.{secrets.token_hex(4)}"
    hidden.mkdir(mode=0o700)
    try:
        yield hidden
        files = {}
        for path in sorted(hidden.iterdir()):
            fsync_file(path)
            files[path.name] = _record(path)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        manifest = Manifest(step=step, created_at=now, files=files, fvu=fvu)
        write_durably(hidden / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        if final.exists():
            delete_checkpoint(final)
        os.rename(hidden, final)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    fsync_directory(directory)


def list_checkpoints(directory: Path) -> list[CheckpointInfo]:
    """The checkpoints that have a readable manifest, oldest step first."""
    if not directory.is_dir():
        return []
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        manifest = _read_manifest(path) if match else None
        if manifest is not None:
            size = sum(record.size for record in manifest.files.values())
            found.append(CheckpointInfo(manifest.step, path, manifest.created_at, size, manifest.fvu))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def verify_checkpoint(path: Path) -> Manifest:
    """Read every byte and compare with the manifest.

    Raises:
        FormatError: a file is missing, has another size, or another content.
    """
    manifest = _read_manifest(path)
    way_out = "Resume from an older checkpoint; this one is not sound."
    if manifest is None:
        raise FormatError(f"{path} has no readable {MANIFEST}.", way_out)
    for name, expected in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise FormatError(f"{file} is missing.", way_out)
        if _record(file) != expected:
            raise FormatError(f"{file} is not what its manifest says.", way_out)
    return manifest


def newest_sound(directory: Path) -> CheckpointInfo | None:
    """The newest checkpoint whose files verify; there is no file that points at "the latest"."""
    for checkpoint in reversed(list_checkpoints(directory)):
        try:
            verify_checkpoint(checkpoint.path)
        except FormatError:
            continue
        return checkpoint
    return None


def delete_checkpoint(path: Path) -> None:
    """Remove a checkpoint; renamed first, so that a half removed one is never taken for a checkpoint."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}.deleted")
    os.rename(path, hidden)
    shutil.rmtree(hidden)


def sweep(directory: Path) -> None:
    """Remove what an interrupted save or removal left behind."""
    if directory.is_dir():
        for path in directory.glob(".step_*"):
            shutil.rmtree(path)


def _record(path: Path) -> FileRecord:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        return FileRecord(file.tell(), digest.hexdigest())


def _read_manifest(path: Path) -> Manifest | None:
    try:
        return msgspec.json.decode((path / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None
