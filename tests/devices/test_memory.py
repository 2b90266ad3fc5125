"""Memory: what of it can be had, and what lies in swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.devices.memory import memory_figures
from tests.devices.trees import GIB, NO_SWAP, memory, write

MIB = 1 << 20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """16 GB of memory, 12 of them available."""
    memory(tmp_path, 16 << 20, 12 << 20)
    return tmp_path


def in_gib(root: Path) -> list[float]:
    figures = memory_figures(root)
    return [figures[f"memory_{name}_bytes"] / GIB for name in ("total", "available", "used")]  # type: ignore[operator]


def test_without_a_limit_the_kernel_says_what_is_available(machine: Path) -> None:
    assert in_gib(machine) == [16, 12, 4]


def test_without_swap_nothing_is_swapped(machine: Path) -> None:
    figures = memory_figures(machine)
    names = ("swap_total_bytes", "swap_used_bytes", "zram_stored_bytes", "zram_memory_bytes")
    assert [figures[name] for name in names] == [0, 0, 0, 0]


def test_zram_that_is_not_swap_is_not_counted(machine: Path) -> None:
    write(machine, "proc/swaps", NO_SWAP + "/dev/nvme0n1p3 partition 2097152 1024 -2\n")
    write(machine, "sys/block/zram0/mm_stat", "10485760 2097152 3145728 0 3145728 12 0 0 0\n")
    figures = memory_figures(machine)
    assert (figures["swap_total_bytes"], figures["swap_used_bytes"]) == (2 * GIB, MIB)
    assert figures["zram_stored_bytes"] == 0


@pytest.mark.parametrize(
    ("path", "text", "absent"),
    [
        ("proc/meminfo", None, "memory_"),
        ("proc/meminfo", "MemTotal:  16777216 kB\n", "memory_"),
        ("proc/meminfo", "MemTotal:  rubbish\nMemAvailable:  1 kB\n", "memory_"),
        ("proc/swaps", None, ("swap_", "zram_")),
        ("proc/swaps", NO_SWAP + "rubbish\n", ("swap_", "zram_")),
        ("proc/swaps", NO_SWAP + "/dev/zram0 partition 2097152 1024 5\n", "zram_"),  # without its mm_stat
    ],
)
def test_what_cannot_be_read_is_missing_with_its_reason(
    machine: Path, path: str, text: str | None, absent: str | tuple[str, ...]
) -> None:
    if text is None:
        (machine / path).unlink()
    else:
        write(machine, path, text)
    figures = memory_figures(machine)
    assert len(figures) == 7
    for name, value in figures.items():
        assert isinstance(value, int) is not name.startswith(absent), name
