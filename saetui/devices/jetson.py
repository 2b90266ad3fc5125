"""Jetson boards, read from sysfs: no root service, no library.

Sources: Jetson Linux Developer Guide, "Power and Performance" for Xavier, Orin and Thor. The GPU's load, in per mille, is in
`load` of its device (`gpu.0`, or a name such as `17000000.gpu` under platform). The driver of Thor shows none there: NVML is
asked instead. Thermal zones are called `gpu-thermal` or `GPU-therm`; `tj` is the hottest of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from saetui.devices.measurements import Measured, Missing, device_load, measure
from saetui.devices.memory import memory_figures
from saetui.devices.nvpmodel import power_mode
from saetui.devices.rails import all_watts, rails_watts
from saetui.devices.thermal import nearest, read_zones, readable
from saetui.protocol.device_load import DeviceLoad
from saetui.tegra import jetson_name

LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load", "sys/devices/platform/*.gpu/load",
         "sys/devices/platform/bus@0/*.gpu/load", "sys/devices/*.gpu/load", "sys/class/devfreq/*.gpu/device/load",
         "sys/class/devfreq/*.ga10b/device/load", "sys/class/devfreq/*.gv11b/device/load")  # fmt: skip
CLOCKS = ("sys/class/devfreq/*.gpu", "sys/class/devfreq/*.ga10b", "sys/class/devfreq/gpu-gpc-*")
ZONES = ("gpu", "tj", "soc0", "cpu")


def read_jetson(root: Path, ask_driver: Callable[[], Sequence[DeviceLoad]]) -> DeviceLoad:
    """The board, whose CPU and GPU share one memory.

    Args:
        root: of the file system; `/` except in tests.
        ask_driver: reads the GPU through NVIDIA's driver. Called only where sysfs does not show the load.
    """
    load = _load(root)
    if isinstance(load, Missing):
        said = [card.load_share for card in ask_driver() if card.load_share is not None]
        load = said[0] if said else load
    zones, rails = read_zones(root), rails_watts(root)
    return device_load(
        jetson_name(root) or "NVIDIA Jetson",
        "jetson",
        {
            "load_share": load,
            **memory_figures(root),
            "temperature_celsius": nearest(zones, ZONES),
            "temperatures_celsius": readable(zones),
            "power_watts": all_watts(rails),
            "rails_watts": rails,
            "power_mode": power_mode(root),
        },
    )


def clocks_are_fixed(root: Path) -> bool | None:
    """Whether the GPU's lowest clock is its highest, as jetson_clocks sets it; None where the kernel shows no clocks."""
    for pattern in CLOCKS:
        for directory in sorted(root.glob(pattern)):
            lowest, highest = (measure(partial(_hertz, directory / f"{end}_freq")) for end in ("min", "max"))
            if not isinstance(lowest, Missing) and not isinstance(highest, Missing):
                return lowest == highest
    return None


def _hertz(file: Path) -> int:
    return int(file.read_text())


def _load(root: Path) -> Measured[float]:
    for pattern in LOADS:
        for file in sorted(root.glob(pattern)):
            return measure(partial(_per_mille, file))
    return Missing("the GPU's load is not shown")


def _per_mille(file: Path) -> float:
    return min(1.0, int(file.read_text()) / 1000)
