"""Jetsons, by the files that their JetPacks show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from saetui.devices.jetson import read_jetson
from saetui.protocol.device_load import DeviceLoad
from saetui.tegra import is_jetson
from tests.devices.trees import GIB, agx_orin, orin_nano, thor, write

MIB = 1 << 20


def not_asked() -> list[DeviceLoad]:
    raise AssertionError("the driver is asked although sysfs shows the load")


@pytest.mark.parametrize("lay_out", [orin_nano, agx_orin, thor])
def test_each_is_known_as_a_jetson(tmp_path: Path, lay_out: Callable[[Path], None]) -> None:
    assert not is_jetson(tmp_path)
    lay_out(tmp_path)
    assert is_jetson(tmp_path)


def test_an_orin_nano_is_read_whole(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    load = read_jetson(tmp_path, not_asked)
    assert (load.name, load.kind) == ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson")
    assert load.load_share == pytest.approx(0.423)
    assert (load.memory_total_bytes, load.memory_available_bytes) == (7802808 * 1024, 3901404 * 1024)
    assert load.memory_used_bytes == 3901404 * 1024
    assert (load.swap_total_bytes, load.swap_used_bytes) == (6 * 650228 * 1024, 20 * MIB)
    assert (load.zram_stored_bytes, load.zram_memory_bytes) == (20 * MIB + 4 * 4096, 6 * MIB + 4 * 12288)
    assert load.temperature_celsius == 51.25
    assert load.temperatures_celsius == {
        "cpu-thermal": 48.5, "gpu-thermal": 51.25, "soc0-thermal": 47, "tj-thermal": 51.25
    }  # fmt: skip
    assert load.power_watts == pytest.approx(7.5)
    assert load.rails_watts == pytest.approx({"VDD_IN": 7.5, "VDD_CPU_GPU_CV": 2, "VDD_SOC": 1.5})
    assert load.power_mode == "MAXN_SUPER"
    assert load.missing == {}


def test_an_agx_orin_has_the_sum_of_the_rails_that_are_no_part_of_another(tmp_path: Path) -> None:
    agx_orin(tmp_path)
    load = read_jetson(tmp_path, not_asked)
    assert load.rails_watts == pytest.approx(
        {"VDD_GPU_SOC": 6, "VDD_CPU_CV": 2, "VIN_SYS_5V0": 5, "VDDQ_VDD2_1V8AO": 1}
    )
    assert load.power_watts == pytest.approx(13)
    assert (load.load_share, load.temperature_celsius) == (1, 47.625)
    assert (load.swap_used_bytes, load.zram_stored_bytes) == (2 * MIB, 0)
    assert load.power_mode == "MODE_30W"  # the default, for nobody has set one
    assert load.missing == {}


def test_a_thor_has_the_load_from_the_driver_and_the_temperature_of_the_hottest_part_while_its_gpu_is_off(
    tmp_path: Path,
) -> None:
    thor(tmp_path)
    load = read_jetson(tmp_path, lambda: [DeviceLoad(name="NVIDIA Thor", kind="cuda", load_share=0.97)])
    assert load.name == "NVIDIA Jetson AGX Thor Developer Kit"
    assert (load.load_share, load.memory_total_bytes) == (0.97, 128 * GIB)
    assert load.temperature_celsius == 55.1 and "gpu-thermal" not in load.temperatures_celsius
    assert load.power_watts == 23.5
    assert sorted(load.rails_watts) == ["VDD_CPU_SOC_MSS", "VDD_GPU", "VIN", "VIN_SYS_5V0"]
    assert load.power_mode == "MAXN"
    assert load.missing == {}


def test_a_thor_whose_driver_says_nothing_has_no_load_and_says_so(tmp_path: Path) -> None:
    thor(tmp_path)
    silent = DeviceLoad(name="NVIDIA Thor", kind="cuda", missing={"load_share": "not supported by this card"})
    nobody: list[DeviceLoad] = []
    for said in (nobody, [silent]):
        load = read_jetson(tmp_path, partial(list, said))
        assert load.load_share is None and load.missing == {"load_share": "the GPU's load is not shown"}


@pytest.mark.parametrize(
    ("path", "text", "field", "reason"),
    [
        ("sys/devices/platform/bus@0/17000000.gpu/load", "", "load_share", "its value makes no sense"),
        ("proc/meminfo", None, "memory_total_bytes", "there is no /proc/meminfo"),
        ("sys/block/zram3/mm_stat", None, "zram_stored_bytes", "the kernel does not show it"),
        ("sys/class/hwmon/hwmon1/name", "pwmfan", "power_watts", "no power rails are shown"),
        ("etc/nvpmodel.conf", None, "power_mode", "there is no nvpmodel here"),
        ("var/lib/nvpmodel/status", "", "power_mode", "its value makes no sense"),
    ],
)
def test_a_figure_that_cannot_be_had_is_missing_with_its_reason_and_never_0(
    tmp_path: Path, path: str, text: str | None, field: str, reason: str
) -> None:
    orin_nano(tmp_path)
    if text is None:
        (tmp_path / path).unlink()
    else:
        write(tmp_path, path, text)
    load = read_jetson(tmp_path, list)
    assert getattr(load, field) is None
    assert load.missing[field] == reason


@pytest.mark.parametrize("rubbish", ["", "much", "-256000", "999000"])
def test_a_sensor_that_is_off_has_no_temperature(tmp_path: Path, rubbish: str) -> None:
    orin_nano(tmp_path)
    for number in range(5):
        write(tmp_path, f"sys/class/thermal/thermal_zone{number}/temp", rubbish)
    load = read_jetson(tmp_path, not_asked)
    assert (load.temperature_celsius, load.temperatures_celsius) == (None, {})
    assert load.missing == {"temperature_celsius": "its value makes no sense"}


def test_a_mode_that_the_configuration_does_not_name_has_its_number(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    write(tmp_path, "var/lib/nvpmodel/status", "pmode:0007\n")
    assert read_jetson(tmp_path, not_asked).power_mode == "mode 7"


def test_another_machine_is_no_jetson(tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5\0")
    assert not is_jetson(tmp_path)
