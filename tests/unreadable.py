"""Directories that cannot be read, for root too, whom permissions do not stop."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


def close(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the listing of a directory fail as it does for who may not read it."""
    scandir = os.scandir

    def scan(path: str) -> object:
        if Path(path) == directory:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)


@contextmanager
def closed_to_this_user(directory: Path) -> Iterator[None]:
    """A directory that this user may not enter, really; root is another user meanwhile."""
    mode = directory.stat().st_mode
    directory.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        directory.chmod(mode)
