"""What the device that a training would use does now."""

from __future__ import annotations

from saetui.devices.cpu import read_cpu
from saetui.devices.jetson import is_jetson, read_jetson
from saetui.devices.nvidia import read_nvidia
from saetui.protocol.messages import DeviceReading


def read_device() -> DeviceReading:
    """One reading: of the Jetson, else of the first NVIDIA card, else of the processor. May take a moment."""
    if is_jetson():
        return read_jetson()
    return read_nvidia() or read_cpu()
