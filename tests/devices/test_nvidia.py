from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from saetui.devices.device import default_device
from saetui.devices.nvidia import parse, read_nvidia
from saetui.tegra import is_jetson


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of this name, first on the path; the test writes what it does."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return program


def test_a_card_is_read_in_bytes_shares_degrees_and_watts() -> None:
    reading = parse("NVIDIA H100 PCIe, 87, 20480, 81559, 61, 250.31\nNVIDIA H100 PCIe, 1, 2, 3, 4, 5\n")
    assert reading is not None
    assert (reading.name, reading.kind) == ("NVIDIA H100 PCIe", "cuda")
    assert reading.load == pytest.approx(0.87)
    assert reading.memory_used == 20 << 30 and reading.memory_total == 81559 << 20
    assert (reading.temperature, reading.power, reading.missing) == (61, 250.31, {})


def test_what_a_card_does_not_say_is_missing_with_its_reason() -> None:
    reading = parse("NVIDIA GeForce, [N/A], 20, 100, 40, [Not Supported]\n")
    assert reading is not None
    assert reading.load is None and "N/A" in reading.missing["load"]
    assert reading.power is None and "Not Supported" in reading.missing["power"]
    assert reading.temperature == 40


@pytest.mark.parametrize("output", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't\n"])
def test_an_answer_without_a_card_is_no_card(output: str) -> None:
    assert parse(output) is None


def test_the_program_is_asked_where_it_is_installed(nvidia_smi: Path) -> None:
    nvidia_smi.write_text('#!/bin/sh\ncase "$1" in --query-gpu=name,*) echo "Card, 1, 2, 3, 4, 5";; esac\n')
    reading = read_nvidia()
    assert reading is not None and reading.name == "Card"
    assert default_device() == "cuda:0"


def test_a_program_that_fails_is_no_card(nvidia_smi: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run([str(nvidia_smi)], check=True)
    assert read_nvidia() is None
    if not is_jetson():
        assert default_device() == "cpu"
