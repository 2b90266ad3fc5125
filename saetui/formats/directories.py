"""Directories as a whole: written so that they are there, complete, after a power cut or a kill; and removed."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from saetui.failpoints import hit
from saetui.formats.durable import fsync_directory, fsync_file, random_suffix, write_new

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""The errors of kernels and file systems that cannot exchange two names."""


@contextmanager
def new_directory(directory: Path, *, point: str) -> Iterator[Path]:
    """A hidden directory beside `directory` to write files into. It takes that name when the block ends well.

    A directory that has the name already is replaced as one step: the name always leads to one of the two. (Where the
    file system cannot exchange two names, the name is free between two renames.) When the block fails, nothing is left
    behind. What a kill leaves is hidden, and `sweep_new` removes it.

    Args:
        directory: the result; its parent must exist.
        point: what the failpoints are called: `fsync` before each file's, `rename`, `directory`.

    Raises:
        OSError: no room, or no permission; an older directory is untouched then.
    """
    hidden = directory.with_name(f".{directory.name}.{random_suffix()}.new")
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
            write_new(hidden / name, content, 0o600, point)


def sweep_new(parent: Path, name: str | None = None) -> None:
    """Remove what killed writers of `new_directory` left in a directory to which nobody else writes now.

    The directory is one of saetui's own, never one that the user chose. `name`: remove only what was to get this name.
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


def bytes_in(directory: Path) -> int:
    """The bytes of all files below a directory; 0 where it does not exist. Files that go meanwhile do not count."""
    total = 0
    for above, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(above, name)).st_size
    return total


def _take_the_name(hidden: Path, directory: Path) -> Path | None:
    """Give `hidden` the name `directory`. Returns where the directory that had the name lies now, if there was one."""
    if not directory.exists():
        os.rename(hidden, directory)
        return None
    try:
        _exchange(hidden, directory)
        return hidden
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
    aside = directory.with_name(f".{directory.name}.{random_suffix()}.new")
    os.rename(directory, aside)
    try:
        os.rename(hidden, directory)
    except BaseException:
        os.rename(aside, directory)
        raise
    return aside


def _exchange(one: Path, other: Path) -> None:
    """Exchange two names as one step (renameat2).

    Raises:
        OSError: the kernel or the file system cannot, or may not.
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
