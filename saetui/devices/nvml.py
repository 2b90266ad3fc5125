"""NVIDIA cards, read through the driver's own library (NVML API Reference Guide; the names and layouts are those of nvml.h)."""

from __future__ import annotations

import ctypes
from typing import Any

from saetui.devices.measurements import Measured, Missing, device_load
from saetui.protocol.device_load import DeviceLoad

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
NOT_SUPPORTED = Missing("not supported by this card")
NAME_BYTES = 96
"""NVML_DEVICE_NAME_V2_BUFFER_SIZE"""
TEMPERATURE_GPU = 0
"""NVML_TEMPERATURE_GPU of nvmlTemperatureSensors_t: the sensor of the die."""

_REASONS = {3: NOT_SUPPORTED, 4: Missing("not permitted"), 15: Missing("the card is lost")}
"""nvmlReturn_t → reason."""

SLOWED_BY = {
    0x002: "set clocks",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "heat, by the driver",
    0x040: "heat, by the hardware",
    0x080: "power brake",
    0x100: "display clocks",
}
"""Bit of nvmlClocksThrottleReasons → reason. Bit 0, an idle card, is none: nothing waits for it."""


class Utilization(ctypes.Structure):
    """nvmlUtilization_t: percent of the time in which a kernel ran, and in which memory was read or written."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes. `used` has what the driver keeps for itself, so that `free` can be had."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def load_library() -> Any | None:
    """The library of the driver; None where there is none."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None


class Nvml:
    """The library, ready to be asked. It keeps the driver loaded until `close`."""

    def __init__(self, library: Any) -> None:
        self._library = library

    @classmethod
    def open(cls, library: Any | None) -> Nvml | None:
        """Get it ready; None where there is no library, or where it finds no driver."""
        if library is None:
            return None
        nvml = cls(library)
        return nvml if nvml._call("nvmlInit_v2") is None else None

    def close(self) -> None:
        """Let go of the driver. Whatever was opened must be closed once."""
        self._call("nvmlShutdown")

    def read_cards(self) -> list[DeviceLoad] | None:
        """All cards in the order of the driver; None where it does not answer."""
        count = ctypes.c_uint()
        if self._call("nvmlDeviceGetCount_v2", ctypes.byref(count)) is not None:
            return None
        return [self._card(index) for index in range(count.value)]

    def _card(self, index: int) -> DeviceLoad:
        handle = ctypes.c_void_p()
        why_not = self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(handle))
        memory: tuple[Measured[int], ...]
        if why_not is None:
            name, load, memory = self._name(handle), self._load(handle), self._memory(handle)
            temperature = self._number("nvmlDeviceGetTemperature", handle, ctypes.c_int(TEMPERATURE_GPU))
            milliwatts, slowed_by = self._number("nvmlDeviceGetPowerUsage", handle), self._slowed_by(handle)
        else:
            name, load, memory = f"NVIDIA card {index}", why_not, (why_not,) * 3
            temperature = milliwatts = slowed_by = why_not
        total, available, used = memory
        return device_load(
            name,
            "cuda",
            {
                "load_share": load,
                "memory_total_bytes": total,
                "memory_available_bytes": available,
                "memory_used_bytes": used,
                "temperature_celsius": temperature if isinstance(temperature, Missing) else float(temperature),
                "power_watts": milliwatts if isinstance(milliwatts, Missing) else milliwatts / 1000,
                "slowed_by": slowed_by,
            },
        )

    def _name(self, handle: ctypes.c_void_p) -> str:
        buffer = ctypes.create_string_buffer(NAME_BYTES)
        why_not = self._call("nvmlDeviceGetName", handle, buffer, ctypes.c_uint(NAME_BYTES))
        return "NVIDIA card" if why_not else buffer.value.decode(errors="replace")

    def _load(self, handle: ctypes.c_void_p) -> Measured[float]:
        found = Utilization()
        return self._call("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(found)) or min(1.0, found.gpu / 100)

    def _memory(self, handle: ctypes.c_void_p) -> tuple[Measured[int], Measured[int], Measured[int]]:
        """Total, free and used."""
        found = Memory()
        why_not = self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(found))
        if why_not is None and not found.total:
            why_not = NOT_SUPPORTED
        return (why_not, why_not, why_not) if why_not else (found.total, found.free, found.total - found.free)

    def _slowed_by(self, handle: ctypes.c_void_p) -> Measured[tuple[str, ...]]:
        found = ctypes.c_ulonglong()
        why_not = self._call("nvmlDeviceGetCurrentClocksThrottleReasons", handle, ctypes.byref(found))
        return why_not or tuple(reason for bit, reason in SLOWED_BY.items() if found.value & bit)

    def _number(self, function: str, *arguments: Any) -> Measured[int]:
        found = ctypes.c_uint()
        why_not = self._call(function, *arguments, ctypes.byref(found))
        return found.value if why_not is None else why_not

    def _call(self, function: str, *arguments: Any) -> Missing | None:
        """Call a function of the library. Returns None when it succeeds, and why it did not otherwise."""
        called = getattr(self._library, function, None)
        if called is None:
            return Missing("not known to this driver")
        code = called(*arguments)
        return None if code == SUCCESS else _REASONS.get(code, Missing(f"NVML error {code}"))
