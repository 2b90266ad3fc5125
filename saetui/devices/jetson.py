"""Jetson boards, read from sysfs: no root service, no library.

Sources: Jetson Linux Developer Guide, "Power and Performance" for Orin and Xavier. The GPU's load, in per mille, is in `load`
of its device (`gpu.0`, or a name such as `17000000.gpu` under platform). Temperatures are in thermal zones called
`gpu-thermal` or `GPU-therm`. Power rails are INA3221 monitors under hwmon, with `inN_label`, `inN_input` (mV) and
`currN_input` (mA); the board's input is VDD_IN (Orin), or the sum of the rails of older boards.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from saetui.devices.measurements import Measurement, Missing, device_reading, measure, zone_temperature
from saetui.protocol.messages import DeviceReading
from saetui.tegra import jetson_name

LOADS = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load", "sys/devices/platform/*.gpu/load",
         "sys/devices/platform/bus@0/*.gpu/load", "sys/devices/*.gpu/load")  # fmt: skip
ZONES = ("gpu", "tj", "soc0", "cpu")
INPUT_RAILS = ("VDD_IN", "POM_5V_IN")


def read_jetson(root: Path = Path("/")) -> DeviceReading:
    """A reading of the board, whose CPU and GPU share one memory."""
    total, available = _memory(root)
    used = total - available if not isinstance(total, Missing) and not isinstance(available, Missing) else total
    values: dict[str, Measurement] = {
        "load": _load(root),
        "memory_used": used,
        "memory_total": total,
        "temperature": zone_temperature(root, ZONES),
        "power": _power(root),
    }
    return device_reading(jetson_name(root) or "NVIDIA Jetson", "jetson", values)


def _load(root: Path) -> Measurement:
    try:
        files = [file for pattern in LOADS for file in sorted(root.glob(pattern))]
    except OSError as error:
        return Missing(str(error))
    return measure(partial(_per_mille, files[0])) if files else Missing("the GPU's load file is not in sysfs")


def _per_mille(file: Path) -> float:
    return min(1.0, int(file.read_text()) / 1000)


def _memory(root: Path) -> tuple[Measurement, Measurement]:
    """Total and available memory in bytes."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError as error:
        return Missing(str(error)), Missing(str(error))
    found: dict[str, Measurement] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = float(rest.split()[0]) * 1024
    missing = Missing("/proc/meminfo does not say")
    return found.get("MemTotal", missing), found.get("MemAvailable", missing)


def _power(root: Path) -> Measurement:
    """Watts at the board's input, or the sum of its rails."""
    rails: dict[str, float] = {}
    try:
        labels = sorted((root / "sys").glob("class/hwmon/hwmon*/in*_label"))
    except OSError as error:
        return Missing(str(error))
    for label_file in labels:
        number = label_file.name.removeprefix("in").removesuffix("_label")
        try:
            label = label_file.read_text().strip()
            millivolts = int((label_file.parent / f"in{number}_input").read_text())
            milliamperes = int((label_file.parent / f"curr{number}_input").read_text())
        except (OSError, ValueError):
            # A rail without a current (a sum of shunt voltages, a rail that is off) has no power.
            continue
        rails[label] = millivolts * milliamperes / 1e6
    for name in INPUT_RAILS:
        if name in rails:
            return rails[name]
    return sum(rails.values()) if rails else Missing("no power rail is shown under /sys/class/hwmon")
