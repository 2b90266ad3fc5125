"""Checkpoints on disk: each is a directory with a manifest of its files, which is written last."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from saetui.errors import FormatError, NotFound
from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, fsync_file, write_durably
from saetui.formats.regular import read_regular, sha256_of
from saetui.formats.sealed import decode_sealed, seal
from saetui.formats.times import now
from saetui.rundir.layout import recorded_id

MANIFEST = "manifest.json"
WAY_OUT = "Resume from an older checkpoint; this one is not sound."
_NAME = re.compile(r"step_(\d{9,})")
_DELETED = ".deleted"
_HIDDEN = re.compile(r"\.step_\d{9,}\.[0-9a-f]{8}(\.deleted)?")
"""The name of a checkpoint while it is saved or removed; `sweep` touches no other."""


class FileRecord(msgspec.Struct, frozen=True):
    """Size in bytes and sha256 (hex) of one file."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a checkpoint, and what they are of.

    Attributes:
        job: the id of the job; None in manifests written before 0.2.
        fvu: on held-out text, the mean over sites; None where it was not measured.
        l0: of the same evaluation; None in manifests written before 0.2.
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
    """A checkpoint with a readable manifest; its files are not verified yet."""

    step: int
    path: Path
    created_at: str
    size_bytes: int
    fvu: float | None
    l0: float | None = None

    @classmethod
    def of(cls, path: Path, manifest: Manifest) -> CheckpointInfo:
        size = sum(record.size for record in manifest.files.values())
        return cls(manifest.step, path, manifest.created_at, size, manifest.fvu, manifest.l0)


@contextmanager
def new_checkpoint(directory: Path, step: int, fvu: float | None = None, l0: float | None = None) -> Iterator[Path]:
    """A hidden directory for a checkpoint's files; it becomes the checkpoint when the block ends without an error.

    A checkpoint of the same step is replaced. When the block fails, nothing is left behind. `fvu`, `l0`: see `Manifest`.

    Raises:
        OSError: no room; the older checkpoints stay.
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
        manifest = Manifest(job=_job_of(final), step=step, created_at=now("seconds"), files=files, fvu=fvu, l0=l0)
        content = seal(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        write_durably(hidden / MANIFEST, content, point="manifest")
        replaced = _hide(final) if final.exists() else None
        # After a kill from here on, `sweep` finds a whole checkpoint under the hidden name and renames it.
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
    """The checkpoints with a readable manifest, in the order of their steps."""
    found = []
    for path in _named(directory):
        with contextlib.suppress(FormatError):
            found.append(CheckpointInfo.of(path, _read_manifest(path)))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def verify_checkpoint(path: Path) -> Manifest:
    """Read every file and compare it with the manifest.

    Raises:
        FormatError: a file is missing or differs; or the checkpoint belongs to another job.
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
            raise FormatError(f"{file.absolute()} does not match its manifest.", WAY_OUT)
    return manifest


def newest_sound(directory: Path, refused: list[FormatError] | None = None) -> CheckpointInfo | None:
    """The newest checkpoint that verifies. No file records which one is the latest.

    `refused` receives the reason for each newer checkpoint that does not verify, newest first.
    """
    for path in sorted(_named(directory), key=_step_of, reverse=True):
        try:
            return CheckpointInfo.of(path, verify_checkpoint(path))
        except FormatError as error:
            if refused is not None:
                refused.append(error)
    return None


def delete_checkpoint(path: Path) -> None:
    """Remove a checkpoint. It is renamed first, so that a half removed one never passes for a checkpoint."""
    hidden = _hide(path)
    hit("checkpoint.delete")
    shutil.rmtree(hidden)


@contextmanager
def kept_while_read(checkpoint: Path) -> Iterator[Path]:
    """Within the block, neither a trainer nor a rule of retention deletes the checkpoint.

    Raises:
        NotFound: there is no such checkpoint, or it was deleted at this very moment.
    """
    gone = NotFound(f"There is no checkpoint {checkpoint}.", "Choose one of those that `saetui show` lists.")
    try:
        descriptor = os.open(checkpoint, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise gone from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_still_there(checkpoint, descriptor):
            raise gone
        yield checkpoint
    finally:
        os.close(descriptor)


def delete_unless_read(checkpoint: Path) -> bool:
    """Delete a checkpoint; return False, and keep it, while somebody reads it.

    Raises:
        OSError: it cannot be deleted.
    """
    descriptor = os.open(checkpoint, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        delete_checkpoint(checkpoint)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def sweep(directory: Path) -> None:
    """Remove what an interrupted save or removal left behind; finish a save that lacked only its final name.

    What cannot be removed stays, and does no harm.
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
    """The directories with the name of a checkpoint."""
    return [path for path in directory.iterdir() if _NAME.fullmatch(path.name)] if directory.is_dir() else []


def _step_of(path: Path) -> int:
    """The step in the name of a checkpoint, hidden or not."""
    found = _NAME.search(path.name)
    assert found is not None, path
    return int(found[1])


def _job_of(path: Path) -> str:
    """The id of the job in whose directory, `runs/<id>/checkpoints`, a checkpoint lies.

    The id is the one recorded in the directory, because the path may be relative or a link with another name. A training
    that was started by hand has no record; then the directory's name counts.
    """
    directory = path.absolute().parent.parent
    return recorded_id(directory) or directory.name


def _hide(path: Path) -> Path:
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_DELETED}")
    os.rename(path, hidden)
    return hidden


def _is_still_there(checkpoint: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(checkpoint.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _is_whole(path: Path) -> bool:
    try:
        verify_checkpoint(path)
    except FormatError:
        return False
    return True


def _record(path: Path) -> FileRecord:
    return FileRecord(path.stat().st_size, sha256_of(path))


def _read_manifest(path: Path) -> Manifest:
    try:
        manifest = decode_sealed(read_regular(path / MANIFEST), Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise FormatError(f"{path.absolute()} has no readable {MANIFEST}: {error}.", WAY_OUT) from error
    if manifest.step != _step_of(path):
        raise FormatError(f"{path.absolute()} holds the checkpoint of step {manifest.step}.", WAY_OUT)
    return manifest
