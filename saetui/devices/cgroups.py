"""The memory that cgroups allow this process, version 1 or 2 (cgroups(7), Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class MemoryLimit:
    """The limit of one cgroup, in bytes. `free`: what its processes can still have; their page cache counts as free."""

    limit: int
    free: int


@dataclass(frozen=True)
class _Files:
    limits: tuple[str, ...]
    usage: str
    reclaimable: tuple[str, ...]


_VERSION_1 = _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
# What memory.high limits is slowed down until it makes no progress, so it is a limit too.
_VERSION_2 = _Files(
    ("memory.max", "memory.high"), "memory.current", ("inactive_file", "active_file", "slab_reclaimable")
)
_NO_LIMIT = 1 << 62
"""Version 1 says a number near 2^63 where there is no limit, version 2 says `max`."""


def memory_limits(root: Path) -> list[MemoryLimit]:
    """The limits of the cgroup of this process and of those around it. Empty where there are none.

    Args:
        root: of the file system; `/` except in tests.
    """
    return [limit for directory, files in _directories(root) if (limit := _limit(directory, files)) is not None]


def _directories(root: Path) -> Iterator[tuple[Path, _Files]]:
    """The directories of the process's cgroups that may limit memory, from the inside out."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        mounts = _mounts((root / "proc/self/mountinfo").read_text())
    except OSError:
        return
    for group in groups:
        number, controllers, path = group.split(":", 2)
        if number == "0":
            files, kind = _VERSION_2, "cgroup2"
        elif "memory" in controllers.split(","):
            files, kind = _VERSION_1, "cgroup memory"
        else:
            continue
        if kind in mounts:
            mounted, point = mounts[kind]
            for inner in _inside(path, mounted):
                yield root / point.lstrip("/") / inner, files


def _mounts(mountinfo: str) -> dict[str, tuple[str, str]]:
    """Kind of hierarchy → the part of it that is mounted, and where (proc_pid_mountinfo(5))."""
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, *_, options = after.split()
        if kind == "cgroup" and "memory" in options.split(","):
            kind = "cgroup memory"
        _, _, _, mounted, point, *_ = before.split()
        mounts.setdefault(kind, (mounted, point))
    return mounts


def _inside(path: str, mounted: str) -> Iterator[PurePosixPath]:
    """Where a cgroup and those around it lie in a mount which shows the hierarchy from `mounted` down."""
    try:
        inner = PurePosixPath(path).relative_to(mounted)
    except ValueError:
        inner = PurePosixPath()
    if ".." in inner.parts:
        inner = PurePosixPath()  # a cgroup outside the namespace of the mount
    yield inner
    if inner.parts:
        yield from inner.parents


def _limit(directory: Path, files: _Files) -> MemoryLimit | None:
    limits = [limit for name in files.limits if (limit := _number(directory / name)) is not None and limit < _NO_LIMIT]
    usage = _number(directory / files.usage)
    if not limits or usage is None:
        return None
    limit = min(limits)
    return MemoryLimit(limit, max(0, min(limit, limit - usage + _reclaimable(directory, files.reclaimable))))


def _reclaimable(directory: Path, names: tuple[str, ...]) -> int:
    """Bytes that the kernel takes back when they are needed: what `MemAvailable` counts as well."""
    try:
        lines = [line.split() for line in (directory / "memory.stat").read_text().splitlines()]
    except OSError:
        return 0
    return sum(int(value) for name, value in lines if name in names)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
