"""Measured values, or the reason why there is none: a reading never shows a zero that means nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Union

from saetui.protocol.messages import DeviceReading

PLAUSIBLE = (-40.0, 150.0)
"""Degrees Celsius. A zone whose sensor is off shows 0 K or less, or a huge number."""


@dataclass(frozen=True)
class Missing:
    """Why a value cannot be measured."""

    reason: str


Measurement = Union[float, Missing]


def device_reading(name: str, kind: str, values: Mapping[str, Measurement]) -> DeviceReading:
    """A `DeviceReading` of load, memory_used, memory_total, temperature and power; reasons for absent ones go into `missing`."""
    known = {field: value for field, value in values.items() if not isinstance(value, Missing)}
    used, total = known.get("memory_used"), known.get("memory_total")
    return DeviceReading(
        name=name,
        kind=kind,
        load=known.get("load"),
        memory_used=None if used is None else int(used),
        memory_total=None if total is None else int(total),
        temperature=known.get("temperature"),
        power=known.get("power"),
        missing={field: value.reason for field, value in values.items() if isinstance(value, Missing)},
    )


def measure(read: Callable[[], float]) -> Measurement:
    """The value that `read` finds in a file, or why there is none."""
    try:
        return read()
    except FileNotFoundError as error:
        return Missing(f"{error.filename} does not exist")
    except (OSError, ValueError) as error:
        return Missing(str(error))


def zone_temperature(root: Path, wanted: tuple[str, ...]) -> Measurement:
    """The temperature, in °C, of the first matching zone of the kernel (Documentation/driver-api/thermal/sysfs-api.rst).

    Args:
        root: of the file system; `/` except in tests.
        wanted: beginnings of zone types in lower case, the best first.
    """
    zones: dict[str, Path] = {}
    try:
        found = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    except OSError as error:
        return Missing(str(error))
    for zone in found:
        try:
            zones.setdefault((zone / "type").read_text().strip().lower(), zone / "temp")
        except OSError:
            continue
    if not zones:
        return Missing("this machine shows no thermal zones")
    for word in wanted:
        for kind, file in zones.items():
            if kind.startswith(word):
                return measure(partial(_degrees, file))
    return Missing(f"no thermal zone is one of {', '.join(wanted)}; there are {', '.join(zones)}")


def _degrees(file: Path) -> float:
    value = int(file.read_text()) / 1000
    if not PLAUSIBLE[0] < value < PLAUSIBLE[1]:
        raise ValueError(f"{file} says {value:g} °C")
    return value
