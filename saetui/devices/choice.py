"""Which device `auto` means on this machine."""

from __future__ import annotations

from saetui.devices.jetson import is_jetson
from saetui.devices.nvidia import read_nvidia

CPU = "cpu"
FIRST_CARD = "cuda:0"


def default_device() -> str:
    """The device that a job with `auto` is given. May take a moment: it asks the driver."""
    return FIRST_CARD if is_jetson() or read_nvidia() is not None else CPU
