"""Which processes live in a job's directory. The kernel is asked, not only the files in it: those may be copied or removed.

A runner starts in the directory, its trainer with it, and neither leaves. So the directory that a process works in (device
and inode) tells the job from its copy, whatever path leads to either, and whatever identity.json says.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from saetui.home import Home
from saetui.launch.identity import Identities, Identity, identify

JOB_VARIABLE = "SAETUI_JOB"
"""In the environment of runner and trainer: the job's id."""

_DELETED = " (deleted)"


class Place(NamedTuple):
    """A directory, by whatever path it is reached."""

    device: int
    inode: int


def place_of(path: str | Path) -> Place | None:
    """Which directory a path leads to; None where it leads to none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return Place(found.st_dev, found.st_ino)


def directory_of(who: Identity) -> str | None:
    """The path of the directory that a process works in; None when it cannot be known."""
    try:
        return str(Path(f"/proc/{who.pid}/cwd").readlink())
    except OSError:
        return None


def is_deleted(directory: str) -> bool:
    """Whether a directory that a process works in has no name any more (proc(5))."""
    return directory.endswith(_DELETED)


def belongs(who: Identity, home: Home, job_id: str) -> bool:
    """Whether a process that lives is one of this job of this home, and not of a copy.

    Those that an older saetui started have no `JOB_VARIABLE`; they are known by where they work alone.
    """
    environment = _environment(who.pid)
    started_for, started_as = environment.get(b"SAETUI_HOME"), environment.get(JOB_VARIABLE.encode())
    if started_for is None or started_as not in (None, job_id.encode()):
        # It was not started for a job (a shell that works in the directory), or for another one.
        return False
    place = place_of(f"/proc/{who.pid}/cwd")
    if place is not None and place == place_of(home.run(job_id)):
        return True
    # Its directory was deleted or moved away under it; or it is of another home, which this one was copied from or to.
    directory = directory_of(who)
    if started_as is None or directory is None:
        return False
    if place_of(os.fsdecode(started_for)) != place_of(home.root):
        return False
    return is_deleted(directory) or not _is_in_another_home(Path(directory), home)


def find_living(home: Home, job_ids: Collection[str]) -> dict[str, list[Identity]]:
    """Every process that lives of these jobs, without asking any file of theirs. Reads /proc once: milliseconds."""
    marks = {f"{JOB_VARIABLE}={job_id}".encode(): job_id for job_id in job_ids}
    found: dict[str, list[Identity]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for mark in marks.keys() & set(_environment_entries(int(entry.name))):
            who = identify(int(entry.name))
            if who is not None and belongs(who, home, marks[mark]):
                found.setdefault(marks[mark], []).append(who)
    return found


def find_identities(home: Home, job_id: str) -> Identities | None:
    """Runner and trainer, where identity.json does not say it. Where the runner is gone, the trainer stands for both."""
    trainer = runner = None
    for who in find_living(home, [job_id]).get(job_id, []):
        group, session = _group_and_session(who.pid)
        if who.pid == session:
            runner = who
        elif who.pid == group:
            trainer = who
    return None if trainer is None else Identities(runner=runner or trainer, trainer=trainer)


def _is_in_another_home(directory: Path, home: Home) -> bool:
    other = directory.parent.parent
    return (other / home.supervisor_lock.name).exists() and place_of(other) != place_of(home.root)


def _environment(pid: int) -> Mapping[bytes, bytes]:
    return {name: value for name, _, value in (entry.partition(b"=") for entry in _environment_entries(pid))}


def _environment_entries(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        # It has ended, or is another user's.
        return []


def _group_and_session(pid: int) -> tuple[int, int]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0, 0
    return int(fields[2]), int(fields[3])
