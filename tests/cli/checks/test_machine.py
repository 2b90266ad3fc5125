"""What the doctor says of a machine: each tree of a real one, and each fault made on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from saetui.cli.checks.finding import Finding, Verdict
from saetui.cli.checks.machine import check_machine, machine_findings
from saetui.devices.health import read_health
from saetui.home import Home
from saetui.protocol.machine_health import MachineHealth
from tests.devices.trees import agx_orin, laptop, memory, mounts, nvpmodel, orin_nano, process, thor, write

HOME = Path("/home/user/saetui")
GOOD, WARNING, PROBLEM = Verdict.GOOD, Verdict.WARNING, Verdict.PROBLEM


def findings(root: Path, **changes: Any) -> dict[str, Finding]:
    """By subject, on a machine whose clock is right; `changes`: facts that no file shows."""
    right = {
        "time": 1.8e9,
        "clock_is_synchronised": True,
        "disk_free_bytes": 100 << 30,
        "written_bytes_per_second": 5e8,
    }
    facts = msgspec.structs.replace(read_health(HOME, root), **{**right, **changes})
    found = list(machine_findings(facts))
    assert all(finding.suggestion for finding in found if finding.verdict is not GOOD)
    return {finding.subject: finding for finding in found}


def verdicts(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {subject: finding.verdict for subject, finding in found.items()}


@pytest.mark.parametrize(
    ("lay", "expected"),
    [
        (orin_nano, {"jetpack": GOOD, "power": GOOD, "memory": GOOD, "swap": WARNING, "disk": GOOD, "clock": GOOD}),
        (agx_orin, {"jetpack": GOOD, "power": WARNING, "memory": GOOD, "disk": GOOD, "clock": GOOD}),
        (thor, {"jetpack": GOOD, "power": GOOD, "memory": GOOD, "disk": GOOD, "clock": GOOD}),
        (laptop, {"memory": GOOD, "disk": GOOD, "clock": GOOD}),
    ],
)
def test_each_real_machine(lay: Callable[[Path], None], expected: dict[str, Verdict], tmp_path: Path) -> None:
    lay(tmp_path)
    assert verdicts(findings(tmp_path)) == expected


def test_a_jetson_is_named_with_its_jetpack(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    found = findings(tmp_path)
    assert found["jetpack"].message == "NVIDIA Jetson AGX Orin Developer Kit: L4T 36.3.0, JetPack 6.0"
    assert found["power"].message == "Mode MODE_30W limits the clocks; MAXN does not."
    assert found["power"].suggestion == "sudo nvpmodel -m 0"


def test_a_jetpack_without_a_python_that_fits_is_told(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    write(tmp_path, "etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref\n")
    found = findings(tmp_path)["jetpack"]
    assert found.verdict is WARNING and "L4T 35.4.1, JetPack 5. NVIDIA's torch" in found.message


def test_a_jetson_seen_from_a_container_lacks_only_its_version(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    (tmp_path / "etc/nv_tegra_release").unlink()
    assert findings(tmp_path)["jetpack"].message.endswith("; its L4T version is not shown here")


def test_a_slow_power_mode_says_how_to_leave_it(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    nvpmodel(tmp_path, 3, ("15W", "25W", "MAXN_SUPER", "7W"), 1)
    found = findings(tmp_path)["power"]
    assert found.verdict is WARNING and found.suggestion == "sudo nvpmodel -m 2"


def test_zram_is_no_help_where_the_gpu_shares_the_memory(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    found = findings(tmp_path)
    assert "zram" in found["swap"].message and "swapon" in (found["swap"].suggestion or "")
    assert found["memory"].message == "3.7 GiB of 7.4 GiB available, 3.7 GiB swap (3.7 GiB of it zram)"
    memory(tmp_path, 7802808, 3901404)
    assert findings(tmp_path)["swap"].message.startswith("There is no swap.")


@pytest.mark.parametrize(("kib", "verdict"), [(300_000, WARNING), (20_000, GOOD)])
def test_a_desktop_on_a_jetson_is_told_with_what_it_holds(kib: int, verdict: Verdict, tmp_path: Path) -> None:
    orin_nano(tmp_path)
    process(tmp_path, 900, "gnome-shell", kib)
    found = findings(tmp_path)["desktop"]
    assert found.verdict is verdict and "gnome-shell" in found.message
    laptop(tmp_path / "laptop")
    process(tmp_path / "laptop", 900, "gnome-shell", kib)
    assert "desktop" not in findings(tmp_path / "laptop")


def test_little_memory_is_told_and_whether_a_cgroup_limits_it(tmp_path: Path) -> None:
    memory(tmp_path, 8 << 20, 1 << 20)
    found = findings(tmp_path)["memory"]
    assert found.verdict is WARNING and (found.suggestion or "").startswith("Close")
    memory(tmp_path, 16 << 20, 12 << 20)
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    for name, number in {"max": 1 << 30, "current": 1 << 29}.items():
        write(tmp_path, f"sys/fs/cgroup/memory.{name}", f"{number}\n")
    found = findings(tmp_path)["memory"]
    assert found.verdict is WARNING and "a cgroup allows no more" in found.message
    assert "container" in (found.suggestion or "")


def test_memory_that_cannot_be_read_is_not_called_good(tmp_path: Path) -> None:
    assert findings(tmp_path)["memory"].verdict is WARNING


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("nfs", "network"), ("nfs4", "network"), ("cifs", "network"), ("fuse.sshfs", "network"), ("9p", "network"),
        ("tmpfs", "in memory"), ("overlay", "container"), ("exfat", "other users"),
    ],
)  # fmt: skip
def test_a_file_system_with_a_disadvantage_is_told(kind: str, word: str, tmp_path: Path) -> None:
    laptop(tmp_path)
    mounts(tmp_path, ("/", "ext4"), ("/home", kind))
    found = findings(tmp_path)["disk"]
    assert found.verdict is WARNING and word in found.message


@pytest.mark.parametrize(
    ("subject", "fault", "verdict", "word"),
    [
        ("disk", {"written_bytes_per_second": 3e6}, WARNING, "2.9 MiB/s"),
        ("disk", {"disk_free_bytes": 1 << 30}, WARNING, "1.0 GiB free"),
        ("disk", {"disk_free_files": 17}, WARNING, "17 more files"),
        (
            "disk",
            {"written_bytes_per_second": None, "write_error": "Input/output error"},
            PROBLEM,
            "Input/output error",
        ),
        ("clock", {"time": 0.0}, PROBLEM, "1970-01-01 00:00 UTC"),
        ("clock", {"time": 1735689599.0}, PROBLEM, "2024-12-31"),
        ("clock", {"clock_is_synchronised": False}, WARNING, "No time server"),
        ("clock", {"clock_is_synchronised": None}, GOOD, "2027-01-15"),
    ],
)
def test_a_disk_that_is_slow_full_or_broken_and_a_clock_that_is_wrong_are_told(
    subject: str, fault: dict[str, Any], verdict: Verdict, word: str, tmp_path: Path
) -> None:
    laptop(tmp_path)
    found = findings(tmp_path, **fault)[subject]
    assert found.verdict is verdict and word in found.message


def test_this_machine_is_read_by_a_process_of_its_own(home: Home) -> None:
    home.make()
    found = {finding.subject for finding in check_machine(home)}
    assert {"memory", "disk", "clock"} <= found
    assert sorted(path.name for path in home.root.iterdir()) == ["cache", "runs"]


def test_a_disk_that_does_not_answer_is_said(home: Home) -> None:
    (found,) = check_machine(home, "tests.cli.hanging_task", seconds=3.0)
    assert found.verdict is PROBLEM and "took more than 3 s" in found.message
    assert "disk does not answer" in (found.suggestion or "")


def test_facts_survive_the_way_from_that_process(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    facts = read_health(HOME, tmp_path)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(facts)), MachineHealth) == facts
