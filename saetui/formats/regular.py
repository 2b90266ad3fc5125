"""Reading small files that may have been replaced by anything: a named pipe, a device, a directory, a terabyte of zeros.

`read_regular` never blocks and reads no more than its limit. Its errors are OSErrors, for callers that already handle a
file that cannot be read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

LIMIT = 16 << 20
"""Bytes: more than any record of a job has, and few enough to read at once."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""The beginning of the pointer that Git leaves in place of a large file where Git LFS is not installed:
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md."""


class NotRegular(OSError):
    """The name belongs to something that is not a file."""


class TooLarge(OSError):
    """The file is larger than anything that could belong there."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file, or a link to one, for reading. Refuse anything else without blocking.

    Raises:
        NotRegular: it is a named pipe, a device, a socket or a directory.
        OSError: there is no such file, or it cannot be opened.
    """
    # Checked before opening too: opening a device may have an effect.
    _require_regular(path, path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int = LIMIT) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        NotRegular: as `open_regular`.
        TooLarge: the file has more bytes.
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # One byte more than the limit: the file may grow meanwhile, and files of /proc report a size of 0.
        content = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(content) > limit:
        raise TooLarge(
            errno.EFBIG, f"it has {max(size, len(content)):,} bytes, and at most {limit:,} are read", str(path)
        )
    return content


def sha256_of(path: Path) -> str:
    """The sha256 digest (hex) of a file, which is read in pieces of 1 MiB. Raises as `open_regular`."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise NotRegular(errno.EISDIR, "it is a directory, not a file", str(path))
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    raise NotRegular(errno.EINVAL, f"it is a {kinds.get(stat.S_IFMT(mode), 'special file')}, not a file", str(path))
