"""The processor and its memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from saetui.devices.measurements import Missing, device_reading, measure, zone_temperature
from saetui.protocol.messages import DeviceReading

ZONES = ("x86_pkg_temp", "cpu", "soc", "acpitz")


def read_cpu(root: Path = Path("/")) -> DeviceReading:
    """A reading of the processor; its load is the mean since the last call (the first call measures for 0.1 s)."""
    cores = os.cpu_count() or 1
    return device_reading(
        f"CPU, {cores} core{'s' if cores > 1 else ''}",
        "cpu",
        {
            "load": measure(cpu_load),
            "memory_used": measure(_memory_used),
            "memory_total": measure(lambda: psutil.virtual_memory().total),
            "temperature": zone_temperature(root, ZONES),
            "power": Missing("a processor's power is not shown to ordinary users"),
        },
    )


def _memory_used() -> float:
    memory = psutil.virtual_memory()
    return float(memory.total - memory.available)


_called_before = False


def cpu_load() -> float:
    """The share of processor time in use, 0 to 1, over all cores."""
    global _called_before
    load = psutil.cpu_percent(interval=None if _called_before else 0.1) / 100
    _called_before = True
    return min(1.0, load)
