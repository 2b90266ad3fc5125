from __future__ import annotations

from pathlib import Path

from saetui.devices.cpu import read_cpu
from tests.devices.trees import zones


def test_the_processor_has_a_load_and_memory_and_says_why_it_has_no_power() -> None:
    load = read_cpu()
    assert load.kind == "cpu" and "core" in load.name
    assert load.load_share is not None and 0 <= load.load_share <= 1
    assert load.memory_used_bytes is not None and load.memory_total_bytes is not None
    assert 0 < load.memory_used_bytes < load.memory_total_bytes
    assert load.power_watts is None and load.missing["power_watts"]


def test_a_temperature_is_that_of_the_package_or_missing_with_its_reason(tmp_path: Path) -> None:
    assert read_cpu(tmp_path).missing["temperature_celsius"] == "no thermal zones are shown"
    zones(tmp_path, {"acpitz": "20000", "x86_pkg_temp": "65000"})
    load = read_cpu(tmp_path)
    assert load.temperature_celsius == 65
    assert load.temperatures_celsius == {"acpitz": 20, "x86_pkg_temp": 65}


def test_zones_of_other_parts_are_not_taken_for_the_processor(tmp_path: Path) -> None:
    zones(tmp_path, {"iwlwifi_1": "41000"})
    assert read_cpu(tmp_path).missing["temperature_celsius"] == "no thermal zone of this kind"
