"""A little room on the disk that a trainer keeps for its last words."""

from __future__ import annotations

import os

from saetui.rundir.layout import RunDirectory

SIZE = 64 * 1024
NAME = ".reserve"


class Reserve:
    """A file that stands in for the job's last events: on a full disk its end and the reason can still be written."""

    def __init__(self, run: RunDirectory) -> None:
        self._path = run.path / NAME
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, SIZE)
            finally:
                os.close(descriptor)
        except OSError:
            # There is no room already: then there is none to keep, and what fails next says so.
            self._path.unlink(missing_ok=True)

    def give(self) -> None:
        """Let go of the room."""
        self._path.unlink(missing_ok=True)
