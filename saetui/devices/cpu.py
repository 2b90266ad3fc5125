"""The processor and its memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from saetui.devices.figure import Figure, Missing, attempt, reading
from saetui.devices.thermal import zone_temperature
from saetui.protocol.messages import DeviceReading

ZONES = ("x86_pkg_temp", "cpu", "soc", "acpitz")


def read_cpu(root: Path = Path("/")) -> DeviceReading:
    """The processor now; its load since the last call (the first call looks for a tenth of a second)."""
    figures: dict[str, Figure] = {
        "load": attempt(cpu_load),
        "memory_used": attempt(_memory_used),
        "memory_total": attempt(lambda: psutil.virtual_memory().total),
        "temperature": zone_temperature(root, ZONES),
        "power": Missing("a processor's power is not shown to ordinary users"),
    }
    cores = os.cpu_count() or 1
    return reading(f"CPU, {cores} core{'s' if cores > 1 else ''}", "cpu", figures)


def _memory_used() -> float:
    memory = psutil.virtual_memory()
    return float(memory.total - memory.available)


_looked_before = False


def cpu_load() -> float:
    """The share of processor time in use, 0 to 1, over all cores."""
    global _looked_before
    load = psutil.cpu_percent(interval=None if _looked_before else 0.1) / 100
    _looked_before = True
    return min(1.0, load)
