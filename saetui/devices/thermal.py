"""Temperatures from the kernel's thermal zones (Documentation/driver-api/thermal/sysfs-api.rst)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from saetui.devices.figure import Figure, Missing, attempt

PLAUSIBLE = (-40.0, 150.0)
"""Degrees Celsius; a zone whose sensor is off says 0 K or less, or some huge number."""


def zone_temperature(root: Path, wanted: tuple[str, ...]) -> Figure:
    """The temperature of the first zone whose type begins with one of the wanted words.

    Args:
        root: the root of the file system, `/` but in tests.
        wanted: zone types in lower case, the best first.

    Returns:
        degrees Celsius.
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
                return attempt(partial(_degrees, file))
    return Missing(f"no thermal zone is one of {', '.join(wanted)}; there are {', '.join(zones)}")


def _degrees(file: Path) -> float:
    value = int(file.read_text()) / 1000
    if not PLAUSIBLE[0] < value < PLAUSIBLE[1]:
        raise ValueError(f"{file} says {value:g} °C")
    return value
