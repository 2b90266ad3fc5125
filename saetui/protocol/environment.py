"""What one process of saetui gives to the next."""

from __future__ import annotations

import os
from pathlib import Path

import saetui
from saetui.home import Home


def child_environment(home: Home) -> dict[str, str]:
    """Our environment, with the home, and with saetui importable from any directory where it is not installed."""
    package_parent = Path(saetui.__file__).resolve().parent.parent
    environment = {**os.environ, "SAETUI_HOME": str(home.root)}
    if package_parent.name not in ("site-packages", "dist-packages"):
        paths = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(package_parent)])
    return environment
