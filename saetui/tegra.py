"""Whether this machine is a Jetson, and which: by the files of its system, without a library."""

from __future__ import annotations

from pathlib import Path

MODEL = "proc/device-tree/model"
TEGRA_RELEASE = "etc/nv_tegra_release"


def is_jetson(root: Path = Path("/")) -> bool:
    """Whether this machine is a Jetson."""
    return (root / TEGRA_RELEASE).exists() or "jetson" in jetson_name(root).lower()


def jetson_name(root: Path = Path("/")) -> str:
    """The name in the device tree, such as `NVIDIA Jetson Orin Nano Developer Kit`; empty where there is none."""
    try:
        return (root / MODEL).read_text(errors="replace").rstrip("\0\n").strip()
    except OSError:
        return ""
