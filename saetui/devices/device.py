"""The devices of this machine: which one a training uses, and what all of them do now."""

from __future__ import annotations

from pathlib import Path

from saetui.devices.cpu import read_cpu
from saetui.devices.jetson import read_jetson
from saetui.devices.measurements import device_reading
from saetui.devices.nvidia_smi import read_with_nvidia_smi
from saetui.protocol.messages import DeviceReading
from saetui.tegra import is_jetson

CPU = "cpu"
FIRST_CARD = "cuda:0"


def default_device() -> str:
    """The device for a job that asks for `auto`. May take a moment: the driver is asked."""
    return FIRST_CARD if is_jetson() or read_with_nvidia_smi() else CPU


def read_device() -> DeviceReading:
    """The Jetson or the NVIDIA cards, and the processor. May take a moment."""
    root = Path("/")
    processor = read_cpu(root)
    if is_jetson(root):
        return device_reading([read_jetson(root, read_with_nvidia_smi), processor])
    return device_reading([*read_with_nvidia_smi(), processor])
