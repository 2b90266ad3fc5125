"""The device that a training uses on this machine: which one, and what it does now."""

from __future__ import annotations

from saetui.devices.cpu import read_cpu
from saetui.devices.jetson import read_jetson
from saetui.devices.nvidia import read_nvidia
from saetui.protocol.messages import DeviceReading
from saetui.tegra import is_jetson

CPU = "cpu"
FIRST_CARD = "cuda:0"


def default_device() -> str:
    """The device for a job that asks for `auto`. May take a moment: the driver is asked."""
    return FIRST_CARD if is_jetson() or read_nvidia() is not None else CPU


def read_device() -> DeviceReading:
    """A reading of the Jetson, else of the first NVIDIA card, else of the processor. May take a moment."""
    if is_jetson():
        return read_jetson()
    return read_nvidia() or read_cpu()
