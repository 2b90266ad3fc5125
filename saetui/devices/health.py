"""What can be wrong with a machine on which a training shall run, read from its files for `saetui doctor`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from saetui.devices.cgroups import memory_limits
from saetui.devices.clock import is_synchronised
from saetui.devices.desktop import desktop_session
from saetui.devices.jetpack import jetpack_of, l4t_version
from saetui.devices.jetson import clocks_are_fixed
from saetui.devices.measurements import Measured, Missing
from saetui.devices.memory import memory_figures, swap_on_disk
from saetui.devices.nvpmodel import fastest_mode, power_mode
from saetui.devices.storage import file_system, free_files, free_space, write_speed
from saetui.protocol.machine_health import MachineHealth
from saetui.tegra import is_jetson, jetson_name

T = TypeVar("T")


def read_health(
    home: Path, root: Path = Path("/"), report: Callable[[str], object] = lambda doing: None
) -> MachineHealth:
    """Read the machine. Writes a few MiB at the home, where it exists, and leaves nothing there.

    Args:
        home: an absolute path.
        root: of the file system; `/` except in tests.
        report: is told what is done next. A part may take seconds; a file system that does not answer takes for ever.
    """
    report("reading memory and clocks")
    memory, found = memory_figures(root), is_jetson(root)
    limits = memory_limits(root)
    desktop = desktop_session(root)
    release = l4t_version(root)
    directory = root / home.relative_to("/")
    report(f"measuring the disk of {home}")
    speed: float | None = None
    why_not = None
    if directory.is_dir():
        try:
            speed = write_speed(directory)
        except OSError as error:
            why_not = error.strerror or str(error)
    return MachineHealth(
        jetson=(jetson_name(root) or "NVIDIA Jetson") if found else None,
        l4t=release,
        jetpack=jetpack_of(release) if release is not None else None,
        power_mode=_known(power_mode(root)),
        fastest_mode=fastest_mode(root),
        clocks_fixed=clocks_are_fixed(root) if found else None,
        memory_total_bytes=_known(memory["memory_total_bytes"]),
        memory_available_bytes=_known(memory["memory_available_bytes"]),
        # The total is the smaller of the machine's memory and of the limits.
        memory_is_limited=memory["memory_total_bytes"] in [one.limit for one in limits],
        swap_total_bytes=_known(memory["swap_total_bytes"]),
        swap_on_disk_bytes=_known(swap_on_disk(root)),
        desktop=tuple(desktop),
        desktop_bytes=sum(desktop.values()),
        file_system=file_system(home, root),
        disk_free_bytes=free_space(directory),
        disk_free_files=free_files(directory),
        written_bytes_per_second=speed,
        write_error=why_not,
        time=datetime.now(timezone.utc).timestamp(),
        clock_is_synchronised=is_synchronised(),
    )


def _known(value: Measured[T]) -> T | None:
    return None if isinstance(value, Missing) else value
