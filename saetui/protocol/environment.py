"""What one process of saetui gives to the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import saetui
from saetui.home import Home

_TUNABLES = "GLIBC_TUNABLES"
_CACHE_SIZE = "glibc.malloc.tcache_count"


def child_environment(home: Home) -> dict[str, str]:
    """Our environment, with the home, and with saetui importable from any directory where it is not installed."""
    package_parent = Path(saetui.__file__).resolve().parent.parent
    environment = {**os.environ, "SAETUI_HOME": str(home.root)}
    if package_parent.name not in ("site-packages", "dist-packages"):
        paths = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
        environment["PYTHONPATH"] = os.pathsep.join([*paths, str(package_parent)])
    return environment


def torch_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process that holds tensors: glibc reads it when that starts; see saetui/training/allocator.py.

    Args:
        environment: what it would have; if the user has set the size of glibc's caches there, that stays.
    """
    set_before = environment.get(_TUNABLES, "")
    if _CACHE_SIZE in set_before:
        return dict(environment)
    return {**environment, _TUNABLES: ":".join(filter(None, [set_before, f"{_CACHE_SIZE}=0"]))}
