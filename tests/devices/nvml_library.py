"""A library with NVML's functions, called as the real one is: through ctypes, with pointers to what it fills in.

It writes bytes at the places that nvml.h gives them, and knows nothing of the structures of saetui.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

NOT_SUPPORTED, LOST, UNINITIALIZED = 3, 15, 1

Handle = ctypes.c_void_p
Out = ctypes.c_void_p


@dataclass
class Card:
    """What a card says. None: it does not support this."""

    name: str = "NVIDIA H100 PCIe"
    percent: int | None = 87
    memory: tuple[int, int, int] | None = (80 << 30, 60 << 30, 20 << 30)  # total, free, used
    degrees: int | None = 61
    milliwatts: int | None = 250_310
    throttle_bits: int | None = 0
    lost: bool = False


class NvmlLibrary(SimpleNamespace):
    """The library. `opened`: how many times it was opened and not closed. `answers`: whether the driver is there."""

    def __init__(self, *cards: Card) -> None:
        super().__init__()
        self.opened, self.answers = 0, True
        self._cards = cards
        one = self._function
        one("nvmlInit_v2", self._open)
        one("nvmlShutdown", self._close)
        one("nvmlDeviceGetCount_v2", self._count, Out)
        one("nvmlDeviceGetHandleByIndex_v2", self._handle, ctypes.c_uint, Out)
        one("nvmlDeviceGetName", self._name, Handle, Out, ctypes.c_uint)
        one("nvmlDeviceGetUtilizationRates", self._utilization, Handle, Out)
        one("nvmlDeviceGetMemoryInfo", self._memory, Handle, Out)
        one("nvmlDeviceGetTemperature", self._temperature, Handle, ctypes.c_int, Out)
        one("nvmlDeviceGetPowerUsage", self._power, Handle, Out)
        one("nvmlDeviceGetCurrentClocksThrottleReasons", self._throttle_reasons, Handle, Out)

    def _function(self, name: str, does: Callable[..., int], *arguments: Any) -> None:
        setattr(self, name, ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(does))

    def _open(self) -> int:
        if not self.answers:
            return 9
        self.opened += 1
        return 0

    def _close(self) -> int:
        self.opened -= 1
        return 0

    def _count(self, out: int) -> int:
        return self._write(out, "I", len(self._cards)) if self.opened and self.answers else UNINITIALIZED

    def _handle(self, index: int, out: int) -> int:
        # A pointer of 64 bits, all of which must come back.
        return LOST if self._cards[index].lost else self._write(out, "P", 0x7F00_0000_1000 + index)

    def _card(self, handle: int) -> Card:
        return self._cards[handle - 0x7F00_0000_1000]

    def _name(self, handle: int, out: int, length: int) -> int:
        text = self._card(handle).name.encode() + b"\0"
        assert len(text) <= length
        ctypes.memmove(out, text, len(text))
        return 0

    def _utilization(self, handle: int, out: int) -> int:
        return self._write(out, "II", self._card(handle).percent, 12)

    def _memory(self, handle: int, out: int) -> int:
        return self._write(out, "QQQ", *(self._card(handle).memory or (None,)))

    def _temperature(self, handle: int, sensor: int, out: int) -> int:
        assert sensor == 0
        return self._write(out, "I", self._card(handle).degrees)

    def _power(self, handle: int, out: int) -> int:
        return self._write(out, "I", self._card(handle).milliwatts)

    def _throttle_reasons(self, handle: int, out: int) -> int:
        return self._write(out, "Q", self._card(handle).throttle_bits)

    @staticmethod
    def _write(out: int, layout: str, *values: int | None) -> int:
        if None in values:
            return NOT_SUPPORTED
        packed = struct.pack(layout, *values)
        ctypes.memmove(out, packed, len(packed))
        return 0
