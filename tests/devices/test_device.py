"""Whole machines: which devices they have, and that each figure of each is there or has a short reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from saetui.devices.device import Devices, default_device
from saetui.devices.measurements import LONGEST_REASON
from saetui.devices.nvidia import NvidiaCards
from tests.devices.nvml_library import Card, NvmlLibrary
from tests.devices.trees import agx_orin, memory, orin_nano, thor

OF_ALL = (
    "load_share", "memory_total_bytes", "memory_available_bytes", "memory_used_bytes", "temperature_celsius", "power_watts",
)  # fmt: skip
OF_MEMORY = ("swap_total_bytes", "swap_used_bytes", "zram_stored_bytes", "zram_memory_bytes")
FIGURES = {"cpu": (*OF_ALL, *OF_MEMORY), "cuda": (*OF_ALL, "slowed_by"), "jetson": (*OF_ALL, *OF_MEMORY, "power_mode")}


def nothing(root: Path) -> None:
    """A machine that shows nothing."""


def workstation(root: Path) -> None:
    memory(root, 64 << 20, 48 << 20)


def cards(*cards: Card) -> NvidiaCards:
    return NvidiaCards(lambda: NvmlLibrary(*cards), lambda command: "")


@pytest.mark.parametrize(
    ("lay_out", "found", "kinds"),
    [
        (orin_nano, cards(Card("Orin (nvgpu)", None, None, None, None, None)), ["jetson", "cpu"]),
        (agx_orin, cards(), ["jetson", "cpu"]),
        (thor, cards(Card("NVIDIA Thor", 97, None, None, None)), ["jetson", "cpu"]),
        (workstation, cards(Card(), Card("NVIDIA A2", milliwatts=None)), ["cuda", "cuda", "cpu"]),
        (workstation, cards(), ["cpu"]),
        (nothing, cards(), ["cpu"]),
    ],
)
def test_every_device_is_read_and_each_figure_is_there_or_has_a_short_reason(
    tmp_path: Path, lay_out: Callable[[Path], None], found: NvidiaCards, kinds: list[str]
) -> None:
    lay_out(tmp_path)
    reading = Devices(tmp_path, found).read()
    assert [device.kind for device in reading.devices] == kinds
    for device in reading.devices:
        absent = {figure for figure in FIGURES[device.kind] if getattr(device, figure) is None}
        assert absent == set(device.missing), device
        assert all(0 < len(reason) <= LONGEST_REASON for reason in device.missing.values())
    first = reading.devices[0]
    assert (reading.name, reading.kind, reading.load) == (first.name, first.kind, first.load_share)
    assert (reading.memory_used, reading.memory_total) == (first.memory_used_bytes, first.memory_total_bytes)


def test_the_processor_of_a_machine_with_cards_has_the_memory_of_the_machine(tmp_path: Path) -> None:
    workstation(tmp_path)
    devices = Devices(tmp_path, cards(Card())).read().devices
    assert [device.memory_total_bytes for device in devices] == [80 << 30, 64 << 30]


def test_devices_let_go_of_the_driver(tmp_path: Path) -> None:
    library = NvmlLibrary(Card())
    devices = Devices(tmp_path, NvidiaCards(lambda: library))
    devices.read()
    assert library.opened == 1
    devices.close()
    assert library.opened == 0


def test_a_job_gets_the_first_card_or_else_the_processor(tmp_path: Path) -> None:
    library = NvmlLibrary(Card(), Card())
    assert default_device(tmp_path, NvidiaCards(lambda: library)) == "cuda:0"
    assert library.opened == 0
    assert default_device(tmp_path, cards()) == "cpu"


def test_a_jetson_has_a_card_whatever_the_driver_says(tmp_path: Path) -> None:
    orin_nano(tmp_path)
    assert default_device(tmp_path, cards()) == "cuda:0"


def test_this_machine_is_read_and_every_figure_is_there_or_has_its_reason() -> None:
    devices = Devices()
    reading = devices.read()
    devices.close()
    for figure in ("load", "memory_used", "memory_total", "temperature", "power"):
        assert (getattr(reading, figure) is None) == (figure in reading.missing)
