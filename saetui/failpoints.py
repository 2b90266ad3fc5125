"""Points at which a test can make a process die, wait or fail: every named fsync, rename, send and spawn.

Switched on by the environment variable SAETUI_FAILPOINTS alone; off, a point costs one comparison. The variable holds
entries `POINT=ACTION`, separated by semicolons:

    store.rename=kill                       at every hit
    checkpoint.fsync=enospc@3               at the third hit of the process
    metrics.append=delay:0.5@2+             at the second hit and every later one
    store.rename=kill!/tmp/token            once over all processes: whoever makes the file

Actions: `kill` (SIGKILL to itself), `delay:SECONDS`, `hold:PATH` (make PATH.reached, then wait until PATH exists), an
errno by its name in small letters (`enospc`, `eio`, …: an OSError), `short:BYTES` (a write takes at most so many bytes),
`out_of_memory` (a MemoryError).
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import time

VARIABLE = "SAETUI_FAILPOINTS"

_REPLACED = (
    # Files that are replaced as a whole (formats/durable.py): of a job, of the store (`templates.copy`: the second generation,
    # as new as the first), a checkpoint's manifest, and what the runner records of its trainer.
    "file", "store", "templates", "templates.copy", "manifest", "runner",
    # A result directory (sae/<site>, or one that is converted), and what is copied out or imported.
    "export", "copy", "import",
    # The caches: an entry of tokens; a shard of activations, the manifest of its entry; the cache's limit.
    "tokens", "shard", "entry", "limit",
)  # fmt: skip
_OTHERS = {
    "store": ("previous",),
    "templates": ("previous",),
    "tokenising": ("run",),
    "run": ("rename", "directory", "hide", "remove"),
    "checkpoint": ("begin", "fsync", "rename", "directory", "delete"),
    "metrics": ("open", "append", "fsync"),
    "events": ("append", "fsync"),
    "launch": ("spawn", "spawned"),
    "frame": ("encode",),
    "connection": ("send",),
    "forward": ("run",),
    "step": ("accumulate",),
    "evaluation": ("begin",),
}
POINTS = frozenset(
    [f"{what}.{step}" for what in _REPLACED for step in ("write", "fsync", "rename", "directory")]
    + [f"{what}.{step}" for what, steps in _OTHERS.items() for step in steps]
)
"""Every point: a test with a misspelt name must fail."""

HOLD_POLL_SECONDS = 0.005
_ENTRY = re.compile(
    r"(?P<point>[a-z.]+)=(?P<action>[a-z_]+)(:(?P<argument>[^@!]+))?(@(?P<at>\d+)(?P<later>\+)?)?(!(?P<token>.+))?"
)
_NEEDS_ARGUMENT = {"delay", "hold", "short"}
_ERRNOS = {name.lower(): number for number, name in errno.errorcode.items()}


class Failpoint:
    """What happens at one point. (No dataclass: the runner loads this module, and dataclasses take 2 MB.)"""

    def __init__(self, point: str, action: str, argument: str, at: int | None, later: bool, token: str | None) -> None:
        """
        Args:
            at: the hit at which it happens, counted from 1; None: at every one.
            later: whether it happens at every later hit too.
            token: a file that the first process to come makes; once the file is there, nothing happens any more.
        """
        self.point, self.action, self.argument = point, action, argument
        self.at, self.later, self.token = at, later, token
        self.hits = 0

    def due(self) -> bool:
        """Count a hit. Returns whether something happens at this one."""
        self.hits += 1
        if self.at is not None and not (self.hits == self.at or (self.later and self.hits > self.at)):
            return False
        if self.token is None:
            return True
        try:
            os.close(os.open(self.token, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        return True

    def strike(self) -> None:
        """Do the action.

        Raises:
            OSError, MemoryError: that is the action.
        """
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.action == "delay":
            time.sleep(float(self.argument))
        elif self.action == "hold":
            os.close(os.open(f"{self.argument}.reached", os.O_WRONLY | os.O_CREAT, 0o600))
            while not os.path.exists(self.argument):  # noqa: PTH110 (the runner loads no pathlib)
                time.sleep(HOLD_POLL_SECONDS)
        elif self.action == "out_of_memory":
            raise MemoryError(f"failpoint {self.point}")
        elif self.action in _ERRNOS:
            number = _ERRNOS[self.action]
            raise OSError(number, os.strerror(number), f"failpoint {self.point}")


def parse(text: str) -> dict[str, list[Failpoint]]:
    """Read a value of the variable: its failpoints, by point.

    Raises:
        ValueError: an entry is no failpoint; the message names the entry.
    """
    points: dict[str, list[Failpoint]] = {}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ValueError(f"{entry!r} is not POINT=ACTION[:ARGUMENT][@HIT[+]][!TOKEN]")
        point, action, argument = found["point"], found["action"], found["argument"] or ""
        if point not in POINTS:
            raise ValueError(f"{entry!r}: there is no point {point}; there are {', '.join(sorted(POINTS))}")
        if action not in {"kill", "out_of_memory", *_NEEDS_ARGUMENT, *_ERRNOS}:
            raise ValueError(f"{entry!r}: there is no action {action}")
        if bool(argument) != (action in _NEEDS_ARGUMENT):
            raise ValueError(f"{entry!r}: {action} takes {'an' if action in _NEEDS_ARGUMENT else 'no'} argument")
        if action == "delay" and not re.fullmatch(r"\d+(\.\d+)?", argument):
            raise ValueError(f"{entry!r}: {argument!r} is no number of seconds")
        if action == "short" and not argument.isdigit():
            raise ValueError(f"{entry!r}: {argument!r} is no number of bytes")
        at = int(found["at"]) if found["at"] else None
        if at == 0:
            raise ValueError(f"{entry!r}: hits are counted from 1")
        points.setdefault(point, []).append(
            Failpoint(point, action, argument, at, found["later"] is not None, found["token"])
        )
    return points


def hit(point: str) -> None:
    """Pass a point.

    Raises:
        OSError, MemoryError: a test asked for it.
    """
    if _active is not None:
        for failpoint in _active.get(point, ()):
            if failpoint.due():
                failpoint.strike()


def cut(point: str, data: bytes) -> bytes:
    """Pass a point before a write. Returns what is to be written: all of the data, unless a test wants a short write."""
    if _active is not None:
        for failpoint in _active.get(point, ()):
            if failpoint.due():
                failpoint.strike()
                if failpoint.action == "short":
                    return data[: int(failpoint.argument)]
    return data


def _from_environment() -> dict[str, list[Failpoint]] | None:
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        # A test that asks for a failpoint that does not exist must not pass because nothing happened.
        sys.exit(f"{VARIABLE}: {error}")


_active = _from_environment()
