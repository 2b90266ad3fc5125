from __future__ import annotations

from pathlib import Path

import pytest

from saetui.devices.jetson import read_jetson
from saetui.tegra import is_jetson


def write(root: Path, path: str, content: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """The files of an Orin Nano that are looked at."""
    write(tmp_path, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
    write(tmp_path, "proc/meminfo", "MemTotal:        7802808 kB\nMemFree: 1 kB\nMemAvailable:    3901404 kB\n")
    write(tmp_path, "sys/devices/platform/bus@0/17000000.gpu/load", "423\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48500\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/type", "gpu-thermal\n")
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "51250\n")
    for number, (label, millivolts, milliamperes) in enumerate(
        [("VDD_IN", 5000, 1500), ("VDD_CPU_GPU_CV", 5000, 400), ("VDD_SOC", 5000, 300)], start=1
    ):
        write(tmp_path, f"sys/class/hwmon/hwmon1/in{number}_label", f"{label}\n")
        write(tmp_path, f"sys/class/hwmon/hwmon1/in{number}_input", f"{millivolts}\n")
        write(tmp_path, f"sys/class/hwmon/hwmon1/curr{number}_input", f"{milliamperes}\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/in7_label", "Sum of shunt voltages\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/in7_input", "3\n")
    return tmp_path


def test_a_jetson_is_read_whole(orin: Path) -> None:
    assert is_jetson(orin)
    reading = read_jetson(orin)
    assert (reading.name, reading.kind) == ("NVIDIA Jetson Orin Nano Developer Kit", "jetson")
    assert reading.load == pytest.approx(0.423)
    assert reading.temperature == 51.25
    assert reading.power == pytest.approx(7.5)
    assert reading.memory_total == 7802808 * 1024 and reading.memory_used == 3901404 * 1024
    assert reading.missing == {}


def test_an_older_board_without_an_input_rail_has_the_sum_of_its_rails(orin: Path) -> None:
    for file in (orin / "sys/class/hwmon/hwmon1").glob("in1_*"):
        file.unlink()
    assert read_jetson(orin).power == pytest.approx(3.5)


@pytest.mark.parametrize(
    ("removed", "field", "word"),
    [
        ("sys/devices/platform/bus@0/17000000.gpu/load", "load", "load file"),
        ("sys/class/thermal/thermal_zone1/temp", "temperature", "thermal_zone1/temp"),
        ("proc/meminfo", "memory_total", "meminfo"),
    ],
)
def test_a_figure_that_cannot_be_had_is_missing_with_its_reason_and_never_0(
    orin: Path, removed: str, field: str, word: str
) -> None:
    (orin / removed).unlink()
    reading = read_jetson(orin)
    assert getattr(reading, field) is None
    assert word in reading.missing[field]


@pytest.mark.parametrize("rubbish", ["", "much", "-256000", "999000"])
def test_a_sensor_that_is_off_has_no_temperature(orin: Path, rubbish: str) -> None:
    write(orin, "sys/class/thermal/thermal_zone1/temp", rubbish)
    reading = read_jetson(orin)
    assert reading.temperature is None and reading.missing["temperature"]


def test_another_machine_is_no_jetson(tmp_path: Path) -> None:
    assert not is_jetson(tmp_path)
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5\0")
    assert not is_jetson(tmp_path)
    write(tmp_path, "etc/nv_tegra_release", "# R36")
    assert is_jetson(tmp_path)
