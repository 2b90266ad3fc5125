"""Writing files and directories so that they are there, whole, after a power cut or a kill.

The standard library alone: whoever keeps something on disk writes it through here, and the failpoints of a write are
named after what is written (`point`), so that a test can kill or fail each of its steps.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from saetui.failpoints import cut, hit

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""What kernels and file systems answer that cannot exchange two names."""


def fsync_directory(directory: Path, *, point: str | None = None) -> None:
    """Make the names in a directory durable: a rename is not, until its directory is synced."""
    if point is not None:
        hit(f"{point}.directory")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path, *, point: str | None = None) -> None:
    """Make a file's content durable, whoever wrote it."""
    if point is not None:
        hit(f"{point}.fsync")
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
    try:
        _write_new(temporary, data, mode, point)
        fsync_file(temporary, point=point)
        hit(f"{point}.rename")
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent, point=point)


def open_private(path: Path, mode: str = "wb") -> BinaryIO:
    """Open a file for writing that only its owner may read: what is trained on is nobody else's business."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600))  # type: ignore[return-value]


@contextmanager
def new_directory(directory: Path, *, point: str) -> Iterator[Path]:
    """A hidden directory beside `directory` to write files into; it takes that name when the block ends well.

    A directory that has the name already is replaced as one step: at no moment is there none. (Where the file system
    cannot exchange two names there is a moment between two renames.) When the block fails nothing is left behind;
    what a kill leaves is hidden, and `sweep_new` clears it away.

    Args:
        directory: the result; its parent must exist.
        point: what the failpoints are called: `fsync` before each file's, `rename`, `directory`.

    Raises:
        OSError: no room, or no permission; an older directory is untouched then.
    """
    hidden = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.new")
    hidden.mkdir(mode=0o700)
    try:
        yield hidden
        for path in sorted(hidden.iterdir()):
            fsync_file(path, point=point)
        fsync_directory(hidden)
        hit(f"{point}.rename")
        replaced = _take_the_name(hidden, directory)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    fsync_directory(directory.parent, point=point)
    if replaced is not None:
        shutil.rmtree(replaced)


def replace_directory(directory: Path, files: Mapping[str, bytes], *, point: str) -> None:
    """Write a directory (mode 0700) of files (0600) as one step; see `new_directory`. `files`: name → content."""
    with new_directory(directory, point=point) as hidden:
        for name, content in files.items():
            _write_new(hidden / name, content, 0o600, point)


def sweep_new(parent: Path, name: str | None = None) -> None:
    """Remove what killed writers of `new_directory` left in a directory that nobody else writes to now.

    Args:
        parent: a directory of ours: never one that the user chose.
        name: only what was to get this name.
    """
    wanted = r".+" if name is None else re.escape(name)
    for path in list(parent.glob(".*.new")):
        if re.fullmatch(rf"\.{wanted}\.[0-9a-f]{{8}}\.new", path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def remove_tree(path: Path) -> None:
    """Remove a file, a link (not its target), or a directory with everything in it.

    Raises:
        OSError: a part cannot be removed. Everything else is removed.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        # A second time, for the error of what is left.
        shutil.rmtree(path)


def _write_new(path: Path, data: bytes, mode: int, point: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        part = cut(f"{point}.write", data)
        file.write(part)
        if len(part) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _take_the_name(hidden: Path, directory: Path) -> Path | None:
    """Give `hidden` the name `directory`; where the directory that had it lies now, None where there was none."""
    if not directory.exists():
        os.rename(hidden, directory)
        return None
    try:
        _exchange(hidden, directory)
        return hidden
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
    aside = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}.new")
    os.rename(directory, aside)
    try:
        os.rename(hidden, directory)
    except BaseException:
        os.rename(aside, directory)
        raise
    return aside


def _exchange(one: Path, other: Path) -> None:
    """Let two names change places as one step (renameat2).

    Raises:
        OSError: the kernel or the file system cannot, or may not.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
