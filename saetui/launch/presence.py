"""Which processes work in a job's directory. The kernel is asked, not the files there: those may be copied or removed.

A runner starts in the directory, its trainer too, and neither leaves it. So the working directory of a process (device and
inode) tells a job from its copy, whatever path leads to either, and whatever identity.json says.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from saetui.home import Home
from saetui.launch.identity import Identities, Identity, identify, read_stat

JOB_VARIABLE = "SAETUI_JOB"
"""In the environment of runner and trainer: the job's id."""

_DELETED = " (deleted)"


class DirectoryId(NamedTuple):
    """A directory, by whatever path it is reached."""

    device: int
    inode: int


def directory_id(path: str | Path) -> DirectoryId | None:
    """The directory to which a path leads; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return DirectoryId(found.st_dev, found.st_ino)


def working_directory(who: Identity) -> str | None:
    """The path of the directory in which a process works; None when it cannot be known."""
    try:
        return str(Path(f"/proc/{who.pid}/cwd").readlink())
    except OSError:
        return None


def is_deleted(directory: str) -> bool:
    """Whether a working directory was deleted (proc(5))."""
    return directory.endswith(_DELETED)


def belongs(who: Identity, home: Home, job_id: str) -> bool:
    """Whether a living process is one of this job of this home, and not one of a copy.

    Processes that an older saetui started have no `JOB_VARIABLE`: only their working directory tells.
    """
    environment = dict(entry.partition(b"=")[::2] for entry in _environment(who.pid))
    started_for, started_as = environment.get(b"SAETUI_HOME"), environment.get(JOB_VARIABLE.encode())
    if started_for is None or started_as not in (None, job_id.encode()):
        # It was not started for a job (a shell that works in the directory), or it was started for another one.
        return False
    place = directory_id(f"/proc/{who.pid}/cwd")
    if place is not None and place == directory_id(home.run(job_id)):
        return True
    # Its directory was deleted or moved away; or it is one of another home, which is a copy of this one or its original.
    directory = working_directory(who)
    if started_as is None or directory is None:
        return False
    if directory_id(os.fsdecode(started_for)) != directory_id(home.root):
        return False
    return is_deleted(directory) or not _is_in_another_home(Path(directory), home)


def find_living(home: Home, job_ids: Collection[str]) -> dict[str, list[Identity]]:
    """Every living process of these jobs; no file of theirs is read. Reads /proc once: milliseconds."""
    marks = {f"{JOB_VARIABLE}={job_id}".encode(): job_id for job_id in job_ids}
    found: dict[str, list[Identity]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for mark in marks.keys() & set(_environment(int(entry.name))):
            who = identify(int(entry.name))
            if who is not None and belongs(who, home, marks[mark]):
                found.setdefault(marks[mark], []).append(who)
    return found


def find_identities(home: Home, job_id: str) -> Identities | None:
    """Runner and trainer, without identity.json. Where the runner is gone, the trainer stands for both."""
    trainer = runner = None
    for who in find_living(home, [job_id]).get(job_id, []):
        try:
            group, session = map(int, read_stat(who.pid)[2:4])
        except OSError:
            continue
        if who.pid == session:
            runner = who
        elif who.pid == group:
            trainer = who
    return None if trainer is None else Identities(runner=runner or trainer, trainer=trainer)


def _is_in_another_home(directory: Path, home: Home) -> bool:
    other = directory.parent.parent
    return (other / home.supervisor_lock.name).exists() and directory_id(other) != directory_id(home.root)


def _environment(pid: int) -> list[bytes]:
    """The entries NAME=VALUE; none where the process has ended or is another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
