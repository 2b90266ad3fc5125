"""Reading small files that others may have replaced by anything: a named pipe, a device, a directory, a terabyte of zeros.

`read_regular` waits for nobody and reads no more than its limit. Its errors are OSErrors, for whoever already says "cannot
be read" of a file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["NotRegular", "TooLarge", "open_regular", "read_regular"]

LIMIT = 16 << 20
"""Bytes: more than any record of a job takes, and little enough to read at once."""


class NotRegular(OSError):
    """There is something of that name, and it is no file."""


class TooLarge(OSError):
    """The file is larger than anything that could belong there."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, at once, and only if it is one (or a link to one).

    Raises:
        NotRegular: it is a named pipe, a device, a socket or a directory.
        OSError: it is not there, or cannot be opened.
    """
    # Looked at before it is opened, too: opening a device may do something.
    _refuse_others(path, path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _refuse_others(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, limit: int = LIMIT) -> bytes:
    """The content of a file that has at most `limit` bytes.

    Raises:
        NotRegular: as `open_regular`.
        TooLarge: it has more; nothing of it was read.
        OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # Read one byte further: it may grow meanwhile, and a file of /proc says that it has none.
        content = file.read(limit + 1) if size <= limit else b""
    if size > limit or len(content) > limit:
        raise TooLarge(
            errno.EFBIG, f"it has {max(size, len(content)):,} bytes, and at most {limit:,} are read", str(path)
        )
    return content


def _refuse_others(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise NotRegular(errno.EISDIR, "it is a directory, not a file", str(path))
    kinds = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    raise NotRegular(errno.EINVAL, f"it is a {kinds.get(stat.S_IFMT(mode), 'special file')}, not a file", str(path))
