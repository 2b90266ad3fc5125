"""NVIDIA cards through NVML, and with nvidia-smi where NVML does not answer."""

from __future__ import annotations

import ctypes

import pytest

from saetui.devices.nvidia import NvidiaCards
from saetui.devices.nvml import SLOWED_BY, Memory, Utilization
from tests.devices.nvml_library import Card, NvmlLibrary

SMI = "NVIDIA H100 PCIe, 87, 81559, 61079, 61, 250.31\n"


def no_smi(command: list[str]) -> str:
    raise AssertionError("nvidia-smi is run although NVML answers")


def read(*cards: Card) -> NvidiaCards:
    library = NvmlLibrary(*cards)
    return NvidiaCards(lambda: library, no_smi)


def test_the_structures_are_as_large_as_those_of_nvml_h() -> None:
    assert (ctypes.sizeof(Memory), ctypes.sizeof(Utilization)) == (24, 8)


def test_both_cards_are_read_in_the_order_of_the_driver() -> None:
    second = Card("NVIDIA GeForce RTX 4090", 3, (24 << 30, 23 << 30, 1 << 30), 35, 21_000, 0x1)
    one, two = read(Card(throttle_bits=0x24), second).read()
    assert (one.name, one.kind) == ("NVIDIA H100 PCIe", "cuda")
    assert one.load_share == pytest.approx(0.87)
    assert (one.memory_total_bytes, one.memory_available_bytes) == (80 << 30, 60 << 30)
    assert one.memory_used_bytes == 20 << 30
    assert (one.temperature_celsius, one.power_watts) == (61, 250.31)
    assert one.slowed_by == ("power cap", "heat, by the driver")
    assert (two.name, two.load_share, two.memory_used_bytes) == ("NVIDIA GeForce RTX 4090", 0.03, 1 << 30)
    assert two.slowed_by == ()  # idle: nothing waits for it
    assert one.missing == two.missing == {}


def test_every_throttle_reason_but_idle_has_a_word() -> None:
    (card,) = read(Card(throttle_bits=0x1FF)).read()
    assert card.slowed_by == tuple(SLOWED_BY.values()) and len(SLOWED_BY) == 8


def test_what_a_card_does_not_support_is_missing_with_its_reason() -> None:
    (card,) = read(Card("Orin (nvgpu)", None, None, None, None, None)).read()
    assert card.name == "Orin (nvgpu)"
    assert card.missing == dict.fromkeys(
        ("load_share", "memory_total_bytes", "memory_available_bytes", "memory_used_bytes",
         "temperature_celsius", "power_watts", "slowed_by"),
        "not supported by this card",
    )  # fmt: skip


def test_a_card_without_memory_of_its_own_has_no_memory_of_0_bytes() -> None:
    (card,) = read(Card(memory=(0, 0, 0))).read()
    assert card.memory_total_bytes is None and card.missing["memory_total_bytes"] == "not supported by this card"


def test_a_lost_card_keeps_its_place() -> None:
    lost, other = read(Card(lost=True), Card()).read()
    assert (lost.name, lost.load_share) == ("NVIDIA card 0", None)
    assert set(lost.missing.values()) == {"the card is lost"}
    assert other.missing == {}


def test_a_function_that_a_driver_lacks_costs_one_figure() -> None:
    library = NvmlLibrary(Card())
    del library.nvmlDeviceGetCurrentClocksThrottleReasons
    (card,) = NvidiaCards(lambda: library, no_smi).read()
    assert card.missing == {"slowed_by": "not known to this driver"}


def test_the_library_is_opened_once_and_closed_again() -> None:
    library = NvmlLibrary(Card())
    cards = NvidiaCards(lambda: library, no_smi)
    assert library.opened == 0
    for _ in range(3):
        assert len(cards.read()) == 1
        assert library.opened == 1
    for _ in range(2):
        cards.close()
        assert library.opened == 0
    assert len(cards.read()) == 1 and library.opened == 1


def test_a_machine_with_a_driver_and_no_card_has_none() -> None:
    assert read().read() == []


def test_nvidia_smi_is_run_where_there_is_no_library_or_it_finds_no_driver() -> None:
    silent = NvmlLibrary(Card())
    silent.answers = False
    for find in (lambda: None, lambda: silent):
        (card,) = NvidiaCards(find, lambda command: SMI).read()
        assert card.missing == {"slowed_by": "only NVML tells it"}


def test_a_driver_that_goes_away_and_comes_back_is_found_again() -> None:
    library = NvmlLibrary(Card())
    cards = NvidiaCards(lambda: library, lambda command: "")
    assert len(cards.read()) == 1
    library.answers = False
    assert cards.read() == [] and library.opened == 0
    library.answers = True
    assert len(cards.read()) == 1 and library.opened == 1
