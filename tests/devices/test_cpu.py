from __future__ import annotations

from pathlib import Path

from saetui.devices.cpu import read_cpu
from saetui.devices.device import read_device


def test_the_processor_has_a_load_and_memory_and_says_why_it_has_no_power() -> None:
    reading = read_cpu()
    assert reading.kind == "cpu" and "core" in reading.name
    assert reading.load is not None and 0 <= reading.load <= 1
    assert reading.memory_used is not None and reading.memory_total is not None
    assert 0 < reading.memory_used < reading.memory_total
    assert reading.power is None and reading.missing["power"]


def test_a_temperature_is_that_of_the_package_or_missing_with_its_reason(tmp_path: Path) -> None:
    assert "no thermal zones" in read_cpu(tmp_path).missing["temperature"]
    for number, (kind, temperature) in enumerate([("acpitz", "20000"), ("x86_pkg_temp", "65000")]):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind)
        (zone / "temp").write_text(temperature)
    assert read_cpu(tmp_path).temperature == 65


def test_this_machine_is_read_and_every_figure_is_there_or_has_its_reason() -> None:
    reading = read_device()
    for figure in ("load", "memory_used", "memory_total", "temperature", "power"):
        assert (getattr(reading, figure) is None) == (figure in reading.missing)
