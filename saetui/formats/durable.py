"""Writing files so that they are there, whole, after a power cut or a kill.

Whoever keeps something on disk writes it through here. The failpoints of a write are named after what is written
(`point`), so that a test can kill or fail each of its steps. The runner writes through here too, and stays small for as
long as a training lasts: nothing but the standard library, and no pathlib, is loaded for this module.
"""

from __future__ import annotations

import errno
import os
import zlib
from io import FileIO

from saetui.failpoints import cut, hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO


def write_durably(path: Path | str, data: bytes, mode: int = 0o600, *, point: str = "file") -> None:
    """Replace a file as one step: readers see the old content or the new, never a part.

    The directory of the file must exist. `point`: what the failpoints of this write are called.

    Raises:
        OSError: the disk is full or not writable; the old file is untouched then.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{random_suffix()}.tmp")
    try:
        write_new(temporary, data, mode, point)
        rename_durably(temporary, path, point=point)
    except BaseException:
        if os.path.lexists(temporary):
            os.remove(temporary)
        raise


def rename_durably(temporary: Path | str, path: Path | str, *, point: str) -> None:
    """Give a complete file its name as one step, and make content and name durable.

    Raises:
        OSError: the disk is full or not writable.
    """
    fsync_file(temporary, point=point)
    hit(f"{point}.rename")
    os.replace(temporary, path)
    fsync_directory(os.path.split(path)[0] or ".", point=point)


def write_new(path: Path | str, data: bytes, mode: int, point: str) -> None:
    """Write a file that does not exist yet. It is not synced.

    Raises:
        OSError: the disk is full or not writable; a part of the file may be there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        part = cut(f"{point}.write", data)
        file.write(part)
        if len(part) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))


def append_whole(file: FileIO, data: bytes, *, point: str) -> int:
    """Append to a file, all or nothing; return the offset of the new data. It is not synced.

    Raises:
        OSError: the disk is full or failed; the file has its old length.
    """
    end = file.seek(0, os.SEEK_END)
    try:
        written = file.write(cut(f"{point}.append", data))
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
    except OSError:
        file.truncate(end)
        raise
    return end


def fsync_file(path: Path | str, *, point: str | None = None) -> None:
    """Make a file's content durable, whoever wrote it."""
    if point is not None:
        hit(f"{point}.fsync")
    _fsync(path, os.O_RDONLY)


def fsync_directory(directory: Path | str, *, point: str | None = None) -> None:
    """Make the names in a directory durable: a rename is not, until its directory is synced."""
    if point is not None:
        hit(f"{point}.directory")
    _fsync(directory, os.O_RDONLY | os.O_DIRECTORY)


def open_private(path: Path | str, mode: str = "wb") -> BinaryIO:
    """Open a file for writing that only its owner may read: nobody else may see what is trained on."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # type: ignore[return-value]


def random_suffix() -> str:
    """Eight hexadecimal digits for the name of a temporary file."""
    return os.urandom(4).hex()


def seal(content: bytes) -> bytes:
    """A JSON object (as text, from brace to brace) with its checksum as the last member; `formats/sealed.py` checks it."""
    assert content[:1] == b"{" and content[-1:] == b"}", content[-20:]
    body = content[:-1].rstrip()
    comma = b"" if body == b"{" else b","
    return b'%s%s"crc":"%08x"}' % (body, comma, zlib.crc32(body))


def _fsync(path: Path | str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
