"""The devices of this machine: which one a training uses, and what all of them do now."""

from __future__ import annotations

from pathlib import Path

from saetui.devices.cpu import read_cpu
from saetui.devices.jetson import read_jetson
from saetui.devices.measurements import device_reading
from saetui.devices.nvidia import NvidiaCards
from saetui.protocol.messages import DeviceReading
from saetui.tegra import is_jetson

CPU = "cpu"
FIRST_CARD = "cuda:0"


def default_device(root: Path = Path("/"), cards: NvidiaCards | None = None) -> str:
    """The device for a job that asks for `auto`. May take a moment: the driver is asked. Arguments as of `Devices`."""
    if is_jetson(root):
        return FIRST_CARD
    cards = cards or NvidiaCards()
    try:
        return FIRST_CARD if cards.read() else CPU
    finally:
        cards.close()


class Devices:
    """Every device of this machine. Not for two threads at a time.

    Args:
        root: of the file system; `/` except in tests.
        cards: the NVIDIA cards of this machine.
    """

    def __init__(self, root: Path = Path("/"), cards: NvidiaCards | None = None) -> None:
        self._root = root
        self._cards = cards or NvidiaCards()

    def read(self) -> DeviceReading:
        """The Jetson or the NVIDIA cards, and the processor. May take a moment."""
        processor = read_cpu(self._root)
        if is_jetson(self._root):
            return device_reading([read_jetson(self._root, self._cards.read), processor])
        return device_reading([*self._cards.read(), processor])

    def close(self) -> None:
        """Let go of drivers until the next reading."""
        self._cards.close()
