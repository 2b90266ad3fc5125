"""Power of a Jetson's rails, from its INA3221 and INA238 monitors under hwmon.

Sources: Documentation/hwmon/ina3221.rst and ina238.rst; Jetson Linux Developer Guide, "Power and Performance". An INA3221 has
a label, mV and mA for each of three rails: `inN_label`, `inN_input`, `currN_input`. An INA238 has one rail, named by
`label`, and says µW in `power1_input`.
"""

from __future__ import annotations

from pathlib import Path

from saetui.devices.measurements import Measured, Missing

INPUTS = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails that supply all others: of Orin Nano, Orin NX and Xavier NX; of the first Nano; of Thor."""

PARTS = ("VDDQ_VDD2_1V8AO",)
"""Rails that another rail supplies: this one, of AGX Orin, is a part of VIN_SYS_5V0."""

_UNUSED = ("", "NC")


def rails_watts(root: Path) -> dict[str, float]:
    """The watts of each rail that is on."""
    rails: dict[str, float] = {}
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        name = _text(chip / "name")
        if name.startswith("ina3221"):
            for number in (1, 2, 3):
                millivolts, milliamperes = (_number(chip / f"{kind}{number}_input") for kind in ("in", "curr"))
                if millivolts is not None and milliamperes is not None:
                    rails[_text(chip / f"in{number}_label")] = millivolts * milliamperes / 1e6
        elif name.startswith("ina2"):
            microwatts = _number(chip / "power1_input")
            if microwatts is not None:
                rails[_text(chip / "label")] = microwatts / 1e6
    return {name: watts for name, watts in rails.items() if name not in _UNUSED}


def all_watts(rails: dict[str, float]) -> Measured[float]:
    """Watts at the input, or the sum of the rails where the input has no monitor."""
    for name in INPUTS:
        if name in rails:
            return rails[name]
    whole = [watts for name, watts in rails.items() if name not in PARTS]
    return sum(whole) if whole else Missing("no power rails are shown")


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    """None where there is no such file, and where it has no value because the rail is off."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
