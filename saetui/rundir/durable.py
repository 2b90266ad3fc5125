"""Writing files so that they are there, whole, after a power cut."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from saetui.failpoints import cut, hit


def fsync_directory(directory: Path) -> None:
    """Make the names in a directory durable: a rename is not, until its directory is synced."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make a file's content durable, whoever wrote it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes, mode: int = 0o600, *, point: str = "file") -> None:
    """Replace a file as one step: readers see the old content or the new, never a part.

    Args:
        path: the file; its directory must be there.
        data: its new content.
        mode: its permissions.
        point: what the failpoints of this write are called.

    Raises:
        OSError: the disk is full or not writable; the old file is untouched then.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            part = cut(f"{point}.write", data)
            file.write(part)
            if len(part) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            file.flush()
            hit(f"{point}.fsync")
            os.fsync(file.fileno())
        hit(f"{point}.rename")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    hit(f"{point}.directory")
    fsync_directory(path.parent)
