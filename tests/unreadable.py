"""Directories that cannot be read, for root too, whom permissions do not stop."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest


def close(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the listing of a directory fail as it does for who may not read it."""
    scandir = os.scandir

    def scan(path: str) -> object:
        if Path(path) == directory:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
