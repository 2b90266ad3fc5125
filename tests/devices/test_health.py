"""What is read of a machine for the doctor, on trees of real machines and on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.devices import storage
from saetui.devices.health import read_health
from saetui.devices.storage import file_system, write_speed
from tests.devices.trees import agx_orin, laptop, memory, mounts, orin_nano, process, thor, write

HOME = Path("/home/user/saetui")


def test_a_jetson_names_its_system_and_its_power_modes(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    found = read_health(HOME, tmp_path)
    assert found.jetson == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (found.l4t, found.jetpack) == ("36.4.3", "6.2")
    assert (found.power_mode, found.fastest_mode) == ("MAXN_SUPER", (2, "MAXN_SUPER"))
    assert found.swap_total_bytes == 6 * 650228 * 1024 and found.swap_on_disk_bytes == 0


def test_a_jetson_that_nobody_has_set_up_runs_in_its_default_mode(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    found = read_health(HOME, tmp_path)
    assert (found.l4t, found.jetpack) == ("36.3.0", "6.0")
    assert (found.power_mode, found.fastest_mode) == ("MODE_30W", (0, "MAXN"))
    assert found.swap_on_disk_bytes == 16777212 * 1024


def test_thor_is_jetpack_7(tmp_path: Path) -> None:
    thor(tmp_path)
    assert (read_health(HOME, tmp_path).l4t, read_health(HOME, tmp_path).jetpack) == ("38.2.0", "7.0")


@pytest.mark.parametrize(("release", "jetpack"), [("R36 (release), REVISION: 9.9", "6"), ("R35 (release), REVISION: 4.1", "5"),
                                                  ("R99 (release), REVISION: 1.0", None)])  # fmt: skip
def test_a_release_that_is_not_in_the_table_has_the_number_of_its_series(
    release: str, jetpack: str | None, tmp_path: Path
) -> None:
    write(tmp_path, "etc/nv_tegra_release", f"# {release}, GCID: 1, BOARD: generic\n")
    assert read_health(HOME, tmp_path).jetpack == jetpack


def test_a_laptop_has_none_of_it(tmp_path: Path) -> None:
    laptop(tmp_path)
    found = read_health(HOME, tmp_path)
    assert (found.jetson, found.l4t, found.power_mode, found.fastest_mode, found.clocks_fixed) == (None,) * 5
    assert found.file_system == "btrfs" and found.desktop == ()
    assert found.memory_available_bytes == 12 << 30 and not found.memory_is_limited


def test_of_a_machine_that_shows_nothing_nothing_is_said(tmp_path: Path) -> None:
    found = read_health(HOME, tmp_path)
    assert (found.memory_total_bytes, found.swap_total_bytes, found.file_system) == (None, None, None)


def test_memory_is_what_a_cgroup_allows(tmp_path: Path) -> None:
    laptop(tmp_path)
    write(tmp_path, "proc/self/cgroup", "0::/\n")
    write(tmp_path, "proc/self/mountinfo", "31 23 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    for name, number in {"max": 4 << 30, "current": 1 << 30}.items():
        write(tmp_path, f"sys/fs/cgroup/memory.{name}", f"{number}\n")
    found = read_health(HOME, tmp_path)
    assert found.memory_is_limited
    assert (found.memory_total_bytes, found.memory_available_bytes) == (4 << 30, 3 << 30)


@pytest.mark.parametrize(("lowest", "fixed"), [(1020000000, True), (306000000, False)])
def test_clocks_held_at_their_highest_are_seen(lowest: int, fixed: bool, tmp_path: Path) -> None:
    orin_nano(tmp_path)
    assert read_health(HOME, tmp_path).clocks_fixed is None
    for end, hertz in {"min": lowest, "max": 1020000000}.items():
        write(tmp_path, f"sys/class/devfreq/17000000.gpu/{end}_freq", f"{hertz}\n")
    assert read_health(HOME, tmp_path).clocks_fixed is fixed


def test_the_processes_of_a_desktop_and_what_they_hold(tmp_path: Path) -> None:
    memory(tmp_path, 8 << 20, 4 << 20)
    for number, (name, kib) in enumerate({"Xorg": 61440, "gnome-shell": 204800, "python3": 999999}.items(), start=900):
        process(tmp_path, number, name, kib)
    (tmp_path / "proc/950").mkdir()  # a process that has just ended
    found = read_health(HOME, tmp_path)
    assert found.desktop == ("gnome-shell", "Xorg")
    assert found.desktop_bytes == 266240 * 1024


def test_the_file_system_is_that_of_the_innermost_and_last_mount(tmp_path: Path) -> None:
    mounts(
        tmp_path,
        ("/", "ext4"),
        ("/home", "nfs4"),
        ("/home/user/my\\040disk", "exfat"),
        ("/srv", "xfs"),
        ("/srv", "tmpfs"),
    )
    said = [
        file_system(Path(path), tmp_path) for path in ("/opt", "/homes", "/home/user", "/home/user/my disk/s", "/srv")
    ]
    assert said == ["ext4", "ext4", "nfs4", "exfat", "tmpfs"]


def test_the_trial_writes_little_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(tmp_path.iterdir())
    speed = write_speed(tmp_path)
    assert speed is not None and speed > 0
    assert list(tmp_path.iterdir()) == before
    # A slow disk is measured for a bounded time.
    monkeypatch.setattr(storage, "MOST_SECONDS", 0.0)
    monkeypatch.setattr(storage, "MOST_BYTES", 1 << 50)
    assert write_speed(tmp_path) is not None


def test_a_nearly_full_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "ROOM", 1 << 60)
    assert write_speed(tmp_path) is None


def test_a_home_where_nothing_can_be_written_says_why(tmp_path: Path) -> None:
    # Nobody, not even root, can make a file there.
    found = read_health(Path("/proc/self/net"))
    assert found.written_bytes_per_second is None and found.write_error
    assert found.file_system == "proc"


def test_this_machine_is_read_whole(tmp_path: Path) -> None:
    doing: list[str] = []
    found = read_health(tmp_path, report=doing.append)
    assert found.memory_total_bytes and found.disk_free_bytes and found.written_bytes_per_second
    assert found.time > 1.7e9 and found.clock_is_synchronised in (True, False, None)
    assert doing[-1] == f"measuring the disk of {tmp_path}"
