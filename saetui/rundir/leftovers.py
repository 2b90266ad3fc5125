"""What lies in a home's `runs/`, and what of it is provably rubbish of our own. All else is the user's, and stays.

Two kinds are ours to remove: half of a submission that nobody was told of, and what is left of a job that was deleted.
Each is known by the form of its name and by a file inside that we wrote for that very job.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from saetui.failpoints import hit
from saetui.formats.directories import remove_tree
from saetui.formats.names import ID_PATTERN, is_id
from saetui.formats.regular import read_regular
from saetui.rundir.layout import SUBMISSION
from saetui.rundir.ownership import JOB_COPY, recorded_id

_NEW = re.compile(rf"\.({ID_PATTERN})\.new")
_DELETED = re.compile(rf"\.({ID_PATTERN})\.[0-9a-f]{{8}}\.deleted")
_FILES = frozenset({SUBMISSION, "spec.json", "spec.json.sha256", JOB_COPY})
_DIRECTORIES = frozenset({"metrics", "checkpoints"})
_TEMPORARY = re.compile(r"\.(spec\.json|spec\.json\.sha256|job\.json)\.[0-9a-f]{8}\.tmp")


class Kind(Enum):
    """What an entry of `runs/` is."""

    JOB = "job"
    HALF_MADE = "half-made"
    DELETED = "deleted"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class Entry:
    """One entry of `runs/`.

    Attributes:
        job_id: the job that it is about; empty where it is about none.
        what: in words, where it is foreign.
    """

    path: Path
    kind: Kind
    job_id: str = ""
    what: str = ""

    @property
    def shown(self) -> str:
        """Its path as any terminal, log or JSON takes it."""
        return shown(self.path)


def shown(path: str | Path) -> str:
    """A path in UTF-8, whatever bytes it has."""
    return os.fsencode(path).decode(errors="backslashreplace")


def look_over(runs: Path) -> list[Entry]:
    """All entries, jobs first, oldest first.

    Raises:
        OSError: the directory itself cannot be read.
    """
    with os.scandir(runs) as found:
        paths = [Path(entry.path) for entry in found]
    return sorted(map(classify, paths), key=lambda entry: (entry.kind is not Kind.JOB, _age(entry.path)))


def classify(path: Path) -> Entry:
    """What one entry is. Nothing is followed out of `runs/` but a link that has a job's name."""
    try:
        mode = path.lstat().st_mode
        if is_id(path.name):
            return _classify_job(path, mode)
        for pattern, kind, proves in ((_NEW, Kind.HALF_MADE, _is_half_made), (_DELETED, Kind.DELETED, _is_deleted)):
            named = pattern.fullmatch(path.name)
            if named is not None and proves(path, named[1]):
                return Entry(path, kind, named[1])
    except OSError as error:
        return Entry(path, Kind.FOREIGN, what=f"cannot be looked at: {error.strerror or error}")
    return Entry(path, Kind.FOREIGN, what=f"{_word(mode)} that saetui did not make")


def remove(entry: Entry) -> None:
    """Remove one that is ours; links are taken away and never followed.

    Raises:
        OSError: some of it cannot be removed; as much as can be is.
    """
    assert entry.kind in (Kind.HALF_MADE, Kind.DELETED), entry
    if entry.kind is Kind.HALF_MADE:
        _remove_half_made(entry.path)
    else:
        remove_hidden(entry.path)


def remove_hidden(path: Path) -> None:
    """Remove the directory of a deleted job, which has its hidden name already; or a link to it, but not what that means.

    Raises:
        OSError: some of it cannot be removed; as much as can be is.
    """
    hit("run.remove")
    if path.is_symlink():
        path.unlink()
        return
    first: OSError | None = None
    for entry in list(path.iterdir()):
        if entry.name != JOB_COPY:
            try:
                remove_tree(entry)
            except OSError as error:
                first = first or error
    if first is not None:
        raise first
    # To the last it says whose the rest is.
    (path / JOB_COPY).unlink(missing_ok=True)
    path.rmdir()


def _classify_job(path: Path, mode: int) -> Entry:
    if stat.S_ISLNK(mode) and not path.exists():
        return Entry(path, Kind.FOREIGN, what=f"is a link to {shown(path.readlink())}, which is not there")
    if not path.is_dir():
        return Entry(path, Kind.FOREIGN, what=f"{_word(mode)} with the name of a job")
    if not stat.S_ISLNK(mode) and _is_half_made(path, path.name):
        return Entry(path, Kind.HALF_MADE, path.name)
    return Entry(path, Kind.JOB, path.name)


def _is_half_made(path: Path, job_id: str) -> bool:
    """Whether it has the mark of its own submission and nothing that a submission does not make."""
    if path.is_symlink() or not path.is_dir():
        return False
    with os.scandir(path) as found:
        entries = {entry.name: entry for entry in found}
    if not entries:
        # The mark was to be made next. Nothing is lost with an empty directory that has the form of our names.
        return path.name != job_id
    mark = _read_or_none(path / SUBMISSION)
    if mark is None or not (mark == f"{job_id}\n".encode() or (mark == b"" and len(entries) == 1)):
        return False
    for name, entry in entries.items():
        if name in _DIRECTORIES:
            if not entry.is_dir(follow_symlinks=False) or any(Path(entry.path).iterdir()):
                return False
        elif not (entry.is_file(follow_symlinks=False) and (name in _FILES or _TEMPORARY.fullmatch(name))):
            return False
    return True


def _is_deleted(path: Path, job_id: str) -> bool:
    """Whether it holds the sealed record of the job that its name says, or nothing at all."""
    if not path.is_dir():
        return False
    if not path.is_symlink() and not any(path.iterdir()):
        return True
    return recorded_id(path) == job_id


def _remove_half_made(path: Path) -> None:
    """Remove what a submission makes, name by name: what somebody lays into it meanwhile stays. Its mark goes last."""
    hit("run.remove")
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name == SUBMISSION):
        if entry.name in _DIRECTORIES:
            entry.rmdir()
        elif entry.name in _FILES or _TEMPORARY.fullmatch(entry.name):
            entry.unlink()
    path.rmdir()


def _read_or_none(path: Path) -> bytes | None:
    try:
        return read_regular(path)
    except OSError:
        return None


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _word(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a directory"), (stat.S_ISREG, "a file"))
    return "is " + next((word for test, word in kinds if test(mode)), "something that is neither file nor directory")
