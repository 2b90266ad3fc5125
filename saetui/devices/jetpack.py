"""Which Jetson Linux (L4T) a Jetson runs, and the JetPack that it is a part of."""

from __future__ import annotations

import re
from pathlib import Path

from saetui.tegra import TEGRA_RELEASE

JETPACKS = {"36.3.0": "6.0", "36.4.0": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1", "38.2.0": "7.0"}
"""L4T → JetPack: https://developer.nvidia.com/embedded/jetpack-archive."""

_MAJOR = {32: "4", 34: "5", 35: "5", 36: "6", 38: "7"}
_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)")


def l4t_version(root: Path) -> str | None:
    """Such as `36.4.3`; None where the file that says it is not here, as in most containers."""
    try:
        found = _RELEASE.search((root / TEGRA_RELEASE).read_text(errors="replace"))
    except OSError:
        return None
    return f"{found[1]}.{found[2]}" if found is not None else None


def jetpack_of(l4t: str) -> str | None:
    """The JetPack of an L4T; its first number alone where the release is not in the table, None for an unknown series."""
    return JETPACKS.get(l4t) or _MAJOR.get(int(l4t.partition(".")[0]))
