"""Where saetui keeps everything: the layout of SAETUI_HOME, and the socket that belongs to it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from saetui.errors import HomeError
from saetui.formats.paths import why_no_path
from saetui.formats.regular import read_regular
from saetui.sockets import make_socket_directory, socket_directory

LOCK_LIMIT = 64 << 10
"""Bytes of a lock file that are read; a path has at most 4096."""


@dataclass(frozen=True)
class Home:
    """One saetui home: two homes never meet, neither in files nor in sockets."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "saetui.json"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def run(self, job_id: str) -> Path:
        """A job's directory: it follows from the home and the id, and is never read from a file."""
        return self.runs / job_id

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def imported(self) -> Path:
        """SAEs of others (`saetui import`), a directory each, by name."""
        return self.root / "imported"

    @property
    def machine_figures(self) -> Path:
        """What `saetui bench` measured."""
        return self.root / "machine.json"

    @property
    def supervisor_lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def start_lock(self) -> Path:
        return self.root / "start.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.root / "supervisor.log"

    @property
    def supervisor_log_before(self) -> Path:
        """The older part of the log."""
        return self.root / "supervisor.log.1"

    @property
    def socket_directory(self) -> Path:
        """Where clients look for the supervisor: see saetui/sockets.py."""
        return socket_directory(self.root)

    @property
    def socket(self) -> Path:
        name = hashlib.blake2b(os.fsencode(self.root), digest_size=8).hexdigest()
        return self.socket_directory / f"{name}.sock"

    def make(self) -> Home:
        """Make the directories (mode 0700) and see that they can be written.

        Raises:
            HomeError: the place is not a directory, or this user cannot write there.
        """
        reason = why_no_path(str(self.root))
        if reason is not None:
            raise HomeError(f"SAETUI_HOME cannot be used: {reason}", "Set SAETUI_HOME to another directory.")
        way_out = "Give this user the right to write there, or set SAETUI_HOME to another directory."
        for directory in (self.root, self.runs, self.cache):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise HomeError(f"SAETUI_HOME {self.root} cannot be used: {error.strerror}.", way_out) from error
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise HomeError(
                    f"SAETUI_HOME {self.root} cannot be used: no permission to write in {directory}.", way_out
                )
        for file in (self.supervisor_lock, self.start_lock):
            if file.exists() and not file.is_file():
                raise HomeError(f"{file} is not a file, and saetui keeps one there.", "Move it away.")
        return self

    def make_socket_directory(self) -> Path:
        """Make the socket's directory, or find the one that serves.

        Raises:
            HomeError: a directory that only this user may enter can be made nowhere.
        """
        return make_socket_directory(self.root)


def find_home() -> Home:
    """The home that SAETUI_HOME names, or the user's data directory.

    A directory has one home, by whatever path it is reached: links are resolved here, once; of several mounts of it, the
    one counts by which its last supervisor served it.
    """
    named = os.environ.get("SAETUI_HOME")
    if named:
        return _one_home(Path(named).expanduser())
    from platformdirs import user_data_path

    return _one_home(user_data_path("saetui", appauthor=False))


def served_root(lock: bytes) -> Path | None:
    """The root that a supervisor wrote into its lock, after the line with its pid; None where there is none."""
    lines = lock.split(b"\n")
    return Path(os.fsdecode(lines[1])) if len(lines) > 2 and lines[1].startswith(b"/") else None


def _one_home(named: Path) -> Home:
    home = Home(Path(os.path.realpath(named)))
    try:
        served = served_root(read_regular(home.supervisor_lock, LOCK_LIMIT))
        if served is not None and served != home.root and served.samefile(home.root):
            return Home(served)
    except (OSError, ValueError):
        # No supervisor has served it yet, or not by a path that leads anywhere now.
        return home
    return home
