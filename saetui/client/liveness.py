"""What a supervisor that does not answer is doing, as the kernel tells, and what the user can do about it."""

from __future__ import annotations

from pathlib import Path

from saetui.errors import SupervisorError

PATIENCE_SECONDS = 10.0
"""So long a greeting may take, and so long a request waits before the client asks what is the matter."""

_STATES = {
    "T": "it is stopped, as by kill -STOP or Ctrl-Z",
    "t": "it is stopped by a debugger",
    "D": "it waits for a disk or a network that does not answer",
    "R": "it is busy",
    "S": "it sleeps",
    "Z": "it has ended",
}


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP): it will do nothing until someone lets it go on."""
    return _state(pid) in ("T", "t")


class Unresponsive(SupervisorError):
    """It lives and does not answer."""


def unresponsive(pid: int, seconds: float) -> Unresponsive:
    """What is said of a supervisor that has answered nothing for so many seconds."""
    state = _state(pid)
    way_out = f"end it with `kill -9 {pid}`: trainings go on, and the next command starts another."
    way_out = f"Let it go on with `kill -CONT {pid}`, or {way_out}" if is_stopped(pid) else f"Try again, or {way_out}"
    what = _STATES.get(state, "its state is unknown")
    return Unresponsive(f"The supervisor (pid {pid}) has answered nothing for {seconds:g} s: {what}.", way_out)


def _state(pid: int) -> str:
    """One letter (proc(5)); empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
