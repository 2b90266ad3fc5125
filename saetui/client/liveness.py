"""How long to wait for a supervisor that does not answer, what its process is doing, and what the user can do about it."""

from __future__ import annotations

import math
import time
from pathlib import Path

from saetui.errors import SupervisorError

PATIENCE_SECONDS = 10.0
"""How long a greeting may take, and how long a client waits for a request before it looks at the process."""

_STATES = {
    "T": "it is stopped, as by kill -STOP or Ctrl-Z",
    "t": "it is stopped by a debugger",
    "D": "it waits for a disk or a network that does not answer",
    "R": "it is busy",
    "S": "it sleeps",
    "Z": "it has ended",
}


class Unresponsive(SupervisorError):
    """The supervisor lives and does not answer."""


class Patience:
    """One wait for the supervisor: how long to listen at a time, and when to give up."""

    def __init__(self, pid: int, timeout: float | None) -> None:
        """`pid`: the supervisor's. `timeout`: of the whole wait, in seconds; None: as long as the process is not stopped."""
        self._pid = pid
        self._timeout = math.inf if timeout is None else timeout
        self._begun = time.monotonic()

    def seconds(self) -> float:
        """How long to listen before the next `require_life`."""
        return max(0.001, min(PATIENCE_SECONDS, self._begun + self._timeout - time.monotonic()))

    def require_life(self) -> None:
        """Decide whether to listen on, after nothing arrived.

        Raises:
            Unresponsive: the timeout is over, or the process is stopped.
        """
        waited = time.monotonic() - self._begun
        if waited >= self._timeout or is_stopped(self._pid):
            raise unresponsive(self._pid, round(waited))


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP): it does nothing until it is continued."""
    return _state(pid) in ("T", "t")


def unresponsive(pid: int, seconds: float) -> Unresponsive:
    """The error for a supervisor that has answered nothing for so many seconds."""
    way_out = f"end it with `kill -9 {pid}`: trainings go on, and the next command starts another."
    way_out = f"Continue it with `kill -CONT {pid}`, or {way_out}" if is_stopped(pid) else f"Try again, or {way_out}"
    state = _STATES.get(_state(pid), "its state is unknown")
    return Unresponsive(f"The supervisor (pid {pid}) has answered nothing for {seconds:g} s: {state}.", way_out)


def _state(pid: int) -> str:
    """One letter (proc(5)); empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
