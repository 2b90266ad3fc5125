"""Where saetui keeps everything: the layout of SAETUI_HOME, and its socket."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from saetui.errors import HomeError
from saetui.formats.names import Inside
from saetui.formats.paths import why_no_path
from saetui.formats.regular import read_regular
from saetui.sockets import make_socket_directory, socket_directory

LOCK_LIMIT = 64 << 10
"""The most bytes of a lock file; a path has at most 4096."""


@dataclass(frozen=True)
class Home:
    """One saetui home. Two homes share neither files nor sockets."""

    root: Path

    store = Inside("saetui.json")
    runs = Inside("runs")
    cache = Inside("cache")
    imported = Inside("imported")
    """SAEs of others (`saetui import`), each in a directory with its name."""
    machine_figures = Inside("machine.json")
    """What `saetui bench` measured."""
    torch = Inside("torch.key")
    """Names the installed torch, once its import has worked."""
    supervisor_lock = Inside("supervisor.lock")
    start_lock = Inside("start.lock")
    supervisor_log = Inside("supervisor.log")
    supervisor_log_before = Inside("supervisor.log.1")
    """The older part of the log."""
    crashes = Inside("crashes")
    """Tracebacks of the TUI's own faults."""

    def __fspath__(self) -> str:
        return os.fspath(self.root)

    def run(self, job_id: str) -> Path:
        """A job's directory. It follows from the home and the id; no file holds it."""
        return self.runs / job_id

    @property
    def socket_directory(self) -> Path:
        """Where clients look for the supervisor's socket; see saetui/sockets.py."""
        return socket_directory(self.root)

    @property
    def socket(self) -> Path:
        name = hashlib.blake2b(os.fsencode(self.root), digest_size=8).hexdigest()
        return self.socket_directory / f"{name}.sock"

    def make(self) -> Home:
        """Make the directories (mode 0700) and check that they can be written.

        Raises:
            HomeError: the home is not a directory, or this user cannot write there.
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
        """Make the socket's directory, or find the one in use.

        Raises:
            HomeError: no directory can be made that only this user may enter.
        """
        return make_socket_directory(self.root)


def find_home() -> Home:
    """The home that SAETUI_HOME names, or the user's data directory.

    A directory is one home, whatever path leads to it: links are resolved here, once; of several mounts, the one counts
    through which its last supervisor served it.
    """
    named = os.environ.get("SAETUI_HOME")
    if named:
        return _one_home(Path(named).expanduser())
    from platformdirs import user_data_path

    return _one_home(user_data_path("saetui", appauthor=False))


def served_root(lock: bytes) -> Path | None:
    """The root that a supervisor wrote into its lock, below its process id; None where there is none."""
    lines = lock.split(b"\n")
    return Path(os.fsdecode(lines[1])) if len(lines) > 2 and lines[1].startswith(b"/") else None


def _one_home(named: Path) -> Home:
    home = Home(Path(os.path.realpath(named)))
    try:
        served = served_root(read_regular(home.supervisor_lock, LOCK_LIMIT))
        if served is not None and served != home.root and served.samefile(home.root):
            return Home(served)
    except (OSError, ValueError):
        pass  # no supervisor has served it yet, or the path that it used no longer exists
    return home
