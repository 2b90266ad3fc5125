"""Memory: what this process can have of it, and what lies in swap."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.devices.measurements import Missing
from saetui.devices.memory import memory_figures
from tests.devices.trees import GIB, NO_SWAP, memory, write

MIB = 1 << 20
V2_MOUNT = "31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "35 31 0:32 {part} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """16 GB of memory, 12 of them available, and no cgroup."""
    memory(tmp_path, 16 << 20, 12 << 20)
    return tmp_path


def cgroup_2(root: Path, path: str, usage: int, **limits: int | str) -> None:
    """A cgroup of version 2; its page cache has 384 MB."""
    directory = f"sys/fs/cgroup{path}"
    write(root, f"{directory}/memory.current", f"{usage}\n")
    for name in ("max", "high"):
        write(root, f"{directory}/memory.{name}", f"{limits.get(name, 'max')}\n")
    cache = f"inactive_file {256 * MIB}\nactive_file {100 * MIB}\nslab_reclaimable {28 * MIB}\n"
    write(root, f"{directory}/memory.stat", f"anon 1\nfile 2\n{cache}slab 5\n")


def in_gib(root: Path) -> list[float]:
    found = [memory_figures(root)[f"memory_{name}_bytes"] for name in ("total", "available", "used")]
    return [figure / GIB for figure in found if not isinstance(figure, Missing)]


def test_without_a_limit_the_kernel_says_what_is_available(machine: Path) -> None:
    assert in_gib(machine) == [16, 12, 4]


def test_a_container_has_the_memory_of_its_cgroup(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "0::/\n")
    write(machine, "proc/self/mountinfo", V2_MOUNT)
    cgroup_2(machine, "", 3 * GIB, max=4 * GIB)
    assert in_gib(machine) == [4, 1.375, 2.625]


@pytest.mark.parametrize(("inner", "outer"), [({"max": 8 * GIB}, {"max": 4 * GIB}), ({"high": 4 * GIB}, {})])
def test_the_smallest_limit_of_all_that_lie_around_counts(
    machine: Path, inner: dict[str, int], outer: dict[str, int]
) -> None:
    write(machine, "proc/self/cgroup", "0::/user.slice/user-1000.slice/tmux.scope\n")
    write(machine, "proc/self/mountinfo", V2_MOUNT)
    cgroup_2(machine, "/user.slice/user-1000.slice/tmux.scope", 3 * GIB, **inner)
    cgroup_2(machine, "/user.slice", 3 * GIB, **outer)
    assert in_gib(machine) == [4, 1.375, 2.625]


def test_a_limit_above_what_the_machine_has_left_changes_nothing(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "0::/\n")
    write(machine, "proc/self/mountinfo", V2_MOUNT)
    cgroup_2(machine, "", GIB, max=64 * GIB)
    assert in_gib(machine) == [16, 12, 4]


def test_a_cgroup_that_is_full_has_nothing_available(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "0::/\n")
    write(machine, "proc/self/mountinfo", V2_MOUNT)
    cgroup_2(machine, "", 5 * GIB, max=4 * GIB)
    assert in_gib(machine) == [4, 0, 4]


@pytest.mark.parametrize(
    ("path", "part", "inside"),
    [
        ("/docker/1a2b", "/docker/1a2b", ""),  # in a container that sees the paths of the host
        ("/docker/1a2b", "/", "/docker/1a2b"),  # on the host
        ("/../../other", "/", ""),  # outside the namespace of the mount
    ],
)
def test_a_limit_of_version_1_is_found_where_it_is_mounted(machine: Path, path: str, part: str, inside: str) -> None:
    write(machine, "proc/self/cgroup", f"12:cpu,cpuacct:/x\n4:memory:{path}\n0::/\n")
    unified = "36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    write(machine, "proc/self/mountinfo", unified + V1_MOUNT.format(part=part))
    directory = f"sys/fs/cgroup/memory{inside}"
    write(machine, f"{directory}/memory.limit_in_bytes", f"{4 * GIB}\n")
    write(machine, f"{directory}/memory.usage_in_bytes", f"{3 * GIB}\n")
    stat = f"cache 9\ninactive_file 1\ntotal_inactive_file {256 * MIB}\ntotal_active_file {256 * MIB}\n"
    write(machine, f"{directory}/memory.stat", stat)
    assert in_gib(machine) == [4, 1.5, 2.5]


def test_version_1_says_a_huge_number_where_there_is_no_limit(machine: Path) -> None:
    write(machine, "proc/self/cgroup", "4:memory:/\n")
    write(machine, "proc/self/mountinfo", V1_MOUNT.format(part="/"))
    write(machine, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    write(machine, "sys/fs/cgroup/memory/memory.usage_in_bytes", f"{15 * GIB}\n")
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
