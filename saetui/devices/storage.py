"""The disk that holds a directory: the kind of its file system, what is free, and how fast it writes."""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path, PurePosixPath

MIB = 1 << 20
MOST_BYTES = 16 * MIB
MOST_SECONDS = 2.0
ROOM = 128 * MIB
"""With less room than this nothing is written: the trial must not be what fills the disk."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


def file_system(path: Path, root: Path = Path("/")) -> str | None:
    """The kind of the file system that holds a path, e.g. `ext4` or `nfs4` (proc_pid_mountinfo(5)).

    Args:
        path: absolute, without links.
        root: of the file system; `/` except in tests.
    """
    try:
        lines = (root / "proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    found: tuple[int, str] | None = None
    for line in lines:
        before, _, after = line.partition(" - ")
        point = PurePosixPath(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), before.split()[4]))
        depth = len(point.parts)
        # Of two mounts at one place the later one is seen.
        if path.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, after.split()[0]
    return found[1] if found is not None else None


def free_space(directory: Path) -> int | None:
    """Bytes that this user can still write in a directory, or where it would be made; None where that is not counted."""
    found = _statistics(directory)
    return found.f_bavail * found.f_frsize if found is not None and found.f_blocks else None


def free_files(directory: Path) -> int | None:
    """How many files this user can still make; None where the file system has no such limit."""
    found = _statistics(directory)
    return found.f_favail if found is not None and found.f_files else None


def write_speed(directory: Path) -> float | None:
    """Bytes a second that reach the disk; None where there is too little room to try.

    Writes 16 MiB or for two seconds, into a file that has no name, so that nothing is left of it however this ends.

    Raises:
        OSError: nothing can be written.
    """
    room = free_space(directory)
    if room is not None and room < ROOM:
        return None
    # Random: some file systems compress, and would be measured too fast.
    block = os.urandom(MIB)
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        begun = time.monotonic()
        written, passed = 0, 0.0
        while written < MOST_BYTES and passed < MOST_SECONDS:
            written += file.write(block)
            os.fsync(file.fileno())
            passed = time.monotonic() - begun
    return written / max(passed, 1e-6)


def _statistics(directory: Path) -> os.statvfs_result | None:
    for place in (directory, *directory.parents):
        try:
            return os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
