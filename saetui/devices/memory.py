"""The memory of the machine: what this process can have of it, swap, and swap in compressed memory (zram)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from saetui.devices.cgroups import memory_limits
from saetui.devices.measurements import Measured, Missing, measure

KIB = 1024
ZRAM = "/dev/zram"


def memory_figures(root: Path) -> Mapping[str, Measured[int]]:
    """The fields of `DeviceLoad` about memory, swap and zram, each with its value or the reason why there is none.

    Args:
        root: of the file system; `/` except in tests.
    """
    return {**_memory(root), **_swap(root)}


def swap_on_disk(root: Path) -> Measured[int]:
    """Bytes of the swap areas that are not zram, which lies in memory itself. `root` as for `memory_figures`."""
    areas = measure(partial(_swap_areas, root), "there is no /proc/swaps")
    if isinstance(areas, Missing):
        return areas
    return sum(size for name, (size, _) in areas.items() if not name.startswith(ZRAM))


def _memory(root: Path) -> dict[str, Measured[int]]:
    names = ("memory_total_bytes", "memory_available_bytes", "memory_used_bytes")
    found = measure(partial(_total_and_available, root), "there is no /proc/meminfo")
    if isinstance(found, Missing):
        return dict.fromkeys(names, found)
    total, available = found
    return dict(zip(names, (total, available, total - available)))


def _total_and_available(root: Path) -> tuple[int, int]:
    found = {}
    for line in (root / "proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = int(rest.split()[0]) * KIB
    if len(found) < 2:
        raise ValueError("/proc/meminfo does not say how much memory there is")
    total, available = found["MemTotal"], min(found["MemTotal"], found["MemAvailable"])
    for one in memory_limits(root):
        total, available = min(total, one.limit), min(available, one.free)
    return total, available


def _swap(root: Path) -> dict[str, Measured[int]]:
    names = ("swap_total_bytes", "swap_used_bytes")
    areas = measure(partial(_swap_areas, root), "there is no /proc/swaps")
    if isinstance(areas, Missing):
        return dict.fromkeys((*names, "zram_stored_bytes", "zram_memory_bytes"), areas)
    total, used = (sum(area[column] for area in areas.values()) for column in (0, 1))
    compressed = [Path(name).name for name in areas if name.startswith(ZRAM)]
    zram = measure(partial(_zram, root, compressed))
    stored, memory = (zram, zram) if isinstance(zram, Missing) else zram
    return {**dict(zip(names, (total, used))), "zram_stored_bytes": stored, "zram_memory_bytes": memory}


def _swap_areas(root: Path) -> dict[str, tuple[int, int]]:
    """Name → size and use in bytes (proc_swaps(5))."""
    areas = {}
    for line in (root / "proc/swaps").read_text().splitlines()[1:]:
        name, _, size, used, _ = line.split()
        areas[name] = (int(size) * KIB, int(used) * KIB)
    return areas


def _zram(root: Path, devices: list[str]) -> tuple[int, int]:
    """Bytes that lie in these devices and bytes of memory that they take: columns 1 and 3 of mm_stat (blockdev/zram.rst)."""
    rows = [(root / f"sys/block/{device}/mm_stat").read_text().split() for device in devices]
    if any(len(row) < 3 for row in rows):
        raise ValueError("mm_stat has fewer columns than it must")
    return sum(int(row[0]) for row in rows), sum(int(row[2]) for row in rows)
