from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from saetui.devices.device import default_device
from saetui.devices.nvidia import NvidiaCards
from saetui.devices.nvidia_smi import parse, read_with_nvidia_smi


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of this name, first on the path; the test writes what it does."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return program


def without_nvml() -> NvidiaCards:
    return NvidiaCards(lambda: None)


def test_every_card_is_read_in_bytes_shares_degrees_and_watts() -> None:
    one, two = parse("NVIDIA H100 PCIe, 87, 81559, 61079, 61, 250.31\nNVIDIA H100 NVL, 1, 4, 3, 4, 5\n")
    assert (one.name, one.kind) == ("NVIDIA H100 PCIe", "cuda")
    assert one.load_share == pytest.approx(0.87)
    assert one.memory_total_bytes == 81559 << 20 and one.memory_available_bytes == 61079 << 20
    assert one.memory_used_bytes == 20 << 30
    assert (one.temperature_celsius, one.power_watts) == (61, 250.31)
    assert one.missing == {"slowed_by": "only NVML tells it"}
    assert (two.name, two.memory_used_bytes) == ("NVIDIA H100 NVL", 1 << 20)


def test_what_a_card_does_not_say_is_missing_with_its_reason() -> None:
    (card,) = parse("NVIDIA GeForce, [N/A], 100, [Not Supported], 40, [Not Supported]\n")
    absent = {name for name, reason in card.missing.items() if reason == "nvidia-smi does not say it"}
    memory = {"memory_total_bytes", "memory_available_bytes", "memory_used_bytes"}
    assert absent == {"load_share", "power_watts", *memory}
    assert all(getattr(card, name) is None for name in absent)
    assert card.temperature_celsius == 40


@pytest.mark.parametrize("output", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't\n"])
def test_an_answer_without_a_card_is_no_card(output: str) -> None:
    assert parse(output) == []


def test_the_program_is_asked_where_it_is_installed(nvidia_smi: Path, tmp_path: Path) -> None:
    nvidia_smi.write_text('#!/bin/sh\ncase "$1" in --query-gpu=name,*) echo "Card, 1, 3, 2, 4, 5";; esac\n')
    assert [card.name for card in read_with_nvidia_smi()] == ["Card"]
    assert default_device(tmp_path / "nothing", without_nvml()) == "cuda:0"


def test_a_program_that_fails_is_no_card(nvidia_smi: Path, tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([str(nvidia_smi)], check=True)
    assert read_with_nvidia_smi() == []
    assert default_device(tmp_path / "nothing", without_nvml()) == "cpu"
