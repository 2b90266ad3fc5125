"""The processor and its memory."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from saetui.devices.measurements import Missing, device_load, measure
from saetui.devices.memory import memory_figures
from saetui.devices.thermal import nearest, read_zones, readable
from saetui.protocol.device_load import DeviceLoad

ZONES = ("x86_pkg_temp", "cpu", "soc", "acpitz")


def read_cpu(root: Path = Path("/")) -> DeviceLoad:
    """The processor; its load is the mean since the last call (the first call measures for 0.1 s)."""
    cores = os.cpu_count() or 1
    zones = read_zones(root)
    return device_load(
        f"CPU, {cores} core{'s' if cores > 1 else ''}",
        "cpu",
        {
            "load_share": measure(cpu_load),
            **memory_figures(root),
            "temperature_celsius": nearest(zones, ZONES),
            "temperatures_celsius": readable(zones),
            "power_watts": Missing("not shown to ordinary users"),
        },
    )


_called_before = False


def cpu_load() -> float:
    """The share of processor time in use, 0 to 1, over all cores."""
    global _called_before
    load = psutil.cpu_percent(interval=None if _called_before else 0.1) / 100
    _called_before = True
    return min(1.0, load)
