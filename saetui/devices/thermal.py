"""Temperatures from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from saetui.devices.measurements import Measured, Missing, measure

PLAUSIBLE = (-40.0, 150.0)
"""Degrees Celsius. A zone whose sensor is off shows 0 K or less, or a huge number."""


def read_zones(root: Path) -> dict[str, Measured[float]]:
    """The type of each zone, such as `gpu-thermal`, and its temperature in °C. The first of two zones of one type counts."""
    zones: dict[str, Measured[float]] = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            kind = (zone / "type").read_text().strip()
        except OSError:
            continue
        if kind not in zones:
            zones[kind] = measure(partial(_degrees, zone / "temp"))
    return zones


def nearest(zones: dict[str, Measured[float]], wanted: tuple[str, ...]) -> Measured[float]:
    """The temperature of the first wanted zone that can be read. A zone gives nothing while its part of the chip is off.

    Args:
        zones: from `read_zones`.
        wanted: beginnings of zone types in lower case, the best first.
    """
    if not zones:
        return Missing("no thermal zones are shown")
    found = [value for word in wanted for kind, value in zones.items() if kind.lower().startswith(word)]
    if not found:
        return Missing("no thermal zone of this kind")
    return next((value for value in found if not isinstance(value, Missing)), found[0])


def readable(zones: dict[str, Measured[float]]) -> dict[str, float]:
    """The zones that have a temperature."""
    return {kind: value for kind, value in zones.items() if not isinstance(value, Missing)}


def _degrees(file: Path) -> float:
    value = int(file.read_text()) / 1000
    if not PLAUSIBLE[0] < value < PLAUSIBLE[1]:
        raise ValueError(f"{file} says {value:g} °C")
    return value
