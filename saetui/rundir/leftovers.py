"""The entries of a home's `runs/`, and which of them saetui may remove. Everything else is the user's, and stays.

Two kinds may go: a submission that was interrupted before it was acknowledged, and the rest of a deleted job. saetui
recognises each by the form of its name and by a file inside that saetui wrote for that very job.
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
from saetui.formats.run_files import CHECKPOINTS, JOB_COPY, METRICS, SPEC, SPEC_CHECKSUM, SUBMISSION
from saetui.rundir.layout import recorded_id

_NEW = re.compile(rf"\.({ID_PATTERN})\.new")
_DELETED = re.compile(rf"\.({ID_PATTERN})\.[0-9a-f]{{8}}\.deleted")
_DIRECTORIES = frozenset({METRICS, CHECKPOINTS})
_WRITTEN = (SPEC, SPEC_CHECKSUM, JOB_COPY)
_FILES = frozenset({SUBMISSION, *_WRITTEN})
_TEMPORARY = re.compile(rf"\.({'|'.join(map(re.escape, _WRITTEN))})\.[0-9a-f]{{8}}\.tmp")


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
        job_id: the id of its job; empty for a foreign entry.
        what: the description of a foreign entry.
    """

    path: Path
    kind: Kind
    job_id: str = ""
    what: str = ""

    @property
    def shown(self) -> str:
        """The path for a terminal, a log or JSON."""
        return printable(self.path)


def printable(path: str | Path) -> str:
    """A path as UTF-8 text; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def classify_all(runs: Path) -> list[Entry]:
    """All entries of `runs/`: jobs first, then by age, the oldest first.

    Raises:
        OSError: the directory itself cannot be read.
    """
    with os.scandir(runs) as found:
        paths = [Path(entry.path) for entry in found]
    return sorted(map(classify, paths), key=lambda entry: (entry.kind is not Kind.JOB, _age(entry.path)))


def classify(path: Path) -> Entry:
    """Say what one entry is. Only a link with the name of a job is followed."""
    try:
        mode = path.lstat().st_mode
        if is_id(path.name):
            return _classify_job(path, mode)
        for pattern, kind, proves in ((_NEW, Kind.HALF_MADE, _is_half_made), (_DELETED, Kind.DELETED, _is_deleted)):
            named = pattern.fullmatch(path.name)
            if named is not None and proves(path, named[1]):
                return Entry(path, kind, named[1])
    except OSError as error:
        return Entry(path, Kind.FOREIGN, what=f"cannot be read: {error.strerror or error}")
    return Entry(path, Kind.FOREIGN, what=f"{_word(mode)} that saetui did not make")


def remove(entry: Entry) -> None:
    """Remove an entry that saetui may remove. Links are removed, and never followed.

    Raises:
        OSError: a part of it cannot be removed; the rest is gone.
    """
    assert entry.kind in (Kind.HALF_MADE, Kind.DELETED), entry
    if entry.kind is Kind.HALF_MADE:
        _remove_half_made(entry.path)
    else:
        remove_hidden(entry.path)


def remove_hidden(path: Path) -> None:
    """Remove the directory of a deleted job, which already has its hidden name. Of a link, only the link is removed.

    Raises:
        OSError: a part of it cannot be removed; the rest is gone.
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
    # The record goes last: until then it proves whose directory this is.
    (path / JOB_COPY).unlink(missing_ok=True)
    path.rmdir()


def _classify_job(path: Path, mode: int) -> Entry:
    if stat.S_ISLNK(mode) and not path.exists():
        return Entry(path, Kind.FOREIGN, what=f"is a link to {printable(path.readlink())}, which is not there")
    if not path.is_dir():
        return Entry(path, Kind.FOREIGN, what=f"{_word(mode)} with the name of a job")
    if not stat.S_ISLNK(mode) and _is_half_made(path, path.name):
        return Entry(path, Kind.HALF_MADE, path.name)
    return Entry(path, Kind.JOB, path.name)


def _is_half_made(path: Path, job_id: str) -> bool:
    """Whether a directory has the mark of its own submission, and holds only what a submission makes."""
    if path.is_symlink() or not path.is_dir():
        return False
    with os.scandir(path) as found:
        entries = {entry.name: entry for entry in found}
    if not entries:
        # The mark would have been written next. An empty directory with such a name holds nothing to lose.
        return path.name != job_id
    try:
        mark = read_regular(path / SUBMISSION)
    except OSError:
        return False
    if not (mark == f"{job_id}\n".encode() or (mark == b"" and len(entries) == 1)):
        return False
    for name, entry in entries.items():
        if name in _DIRECTORIES:
            if not entry.is_dir(follow_symlinks=False) or any(Path(entry.path).iterdir()):
                return False
        elif not (entry.is_file(follow_symlinks=False) and (name in _FILES or _TEMPORARY.fullmatch(name))):
            return False
    return True


def _is_deleted(path: Path, job_id: str) -> bool:
    """Whether a directory is empty, or holds the sealed record of the job in its name."""
    if not path.is_dir():
        return False
    if not path.is_symlink() and not any(path.iterdir()):
        return True
    return recorded_id(path) == job_id


def _remove_half_made(path: Path) -> None:
    """Remove what a submission makes, name by name, so that a file that somebody adds meanwhile stays. The mark goes last."""
    hit("run.remove")
    for entry in sorted(path.iterdir(), key=lambda entry: entry.name == SUBMISSION):
        if entry.name in _DIRECTORIES:
            entry.rmdir()
        elif entry.name in _FILES or _TEMPORARY.fullmatch(entry.name):
            entry.unlink()
    path.rmdir()


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _word(mode: int) -> str:
    kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a directory"), (stat.S_ISREG, "a file"))
    return "is " + next((word for test, word in kinds if test(mode)), "neither a file nor a directory")
