"""A Jetson's power mode, from the files of nvpmodel. The program itself wants root, and is never run."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from saetui.devices.measurements import Measured, measure

CONFIGURATION = "etc/nvpmodel.conf"
STATUS = "var/lib/nvpmodel/status"

_MODE = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", re.MULTILINE)
_DEFAULT = re.compile(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", re.MULTILINE)
_SET = re.compile(r"\bpmode:(\d+)")


def power_mode(root: Path) -> Measured[str]:
    """The name of the mode that was set last, such as `15W`; the default mode where none was ever set."""
    return measure(partial(_mode, root), "there is no nvpmodel here")


def fastest_mode(root: Path) -> tuple[int, str] | None:
    """The number and the name of the mode that limits nothing (MAXN, or MAXN_SUPER); None where no mode has such a name."""
    try:
        names = _names((root / CONFIGURATION).read_text(errors="replace"))
    except OSError:
        return None
    return next(((number, name) for number, name in names.items() if name.startswith("MAXN")), None)


def _names(text: str) -> dict[int, str]:
    return {int(mode[1]): mode[2] for mode in _MODE.finditer(text)}


def _mode(root: Path) -> str:
    text = (root / CONFIGURATION).read_text(errors="replace")
    try:
        found = _SET.search((root / STATUS).read_text(errors="replace"))
    except FileNotFoundError:
        found = _DEFAULT.search(text)
    if found is None:
        raise ValueError("no mode is named")
    number = int(found[1])
    return _names(text).get(number, f"mode {number}")
