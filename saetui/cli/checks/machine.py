"""The machine: a Jetson's system and power mode, memory, disk and clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

from saetui.cli.checks.asking import answer
from saetui.cli.checks.finding import Finding, good, problem, warning
from saetui.display.figures import count, size
from saetui.home import Home
from saetui.protocol.machine_health import MachineHealth

PATIENCE_SECONDS = 30.0
"""A disk that is only slow writes a MiB in this time."""

LITTLE_SPACE = 5 << 30
FEW_FILES_LEFT = 10_000
SLOW_DISK = 10 << 20
"""Bytes a second: a checkpoint of 1 GiB takes longer than a minute and a half."""
LITTLE_MEMORY = 2 << 30
SMALL_MACHINE = 16 << 30
"""A Jetson with less memory than this needs swap on a disk: loading a model needs more than training on it."""
DESKTOP_SHARE = 0.02
OLDEST_JETPACK = 6
FIRST_YEAR = 2025

_NETWORK = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "fuse.sshfs",
    "fuse.rclone",
)
_VOLATILE = ("tmpfs", "ramfs")
_WITHOUT_OWNERS = ("vfat", "msdos", "exfat")


def check_machine(
    home: Home, module: str = "saetui.training.tasks.machine", seconds: float = PATIENCE_SECONDS
) -> Iterator[Finding]:
    """What a process of its own reads and measures.

    Args:
        home: where the disk's speed is measured.
        module: the task that reads.
        seconds: how long it may take.
    """
    hangs = "A disk does not answer: see `sudo dmesg`, or set SAETUI_HOME to another one."
    found = answer("machine", module, {"home": str(home.root)}, seconds, hangs)
    if isinstance(found, Finding):
        yield found
        return
    yield from machine_findings(msgspec.convert(found, MachineHealth))


def machine_findings(found: MachineHealth) -> Iterator[Finding]:
    """What the facts about a machine mean for a training."""
    if found.jetson is not None:
        yield _jetpack(found, found.jetson)
        yield from _power(found)
    yield _memory(found)
    if found.jetson is not None:
        yield from _swap(found)
        yield from _desktop(found)
    yield from _disk(found)
    yield _clock(found)


def _jetpack(found: MachineHealth, name: str) -> Finding:
    if found.l4t is None:
        return good("jetpack", f"{name}; its L4T version is not shown here")
    message = f"{name}: L4T {found.l4t}" + (f", JetPack {found.jetpack}" if found.jetpack else "")
    if found.jetpack is not None and int(found.jetpack.partition(".")[0]) < OLDEST_JETPACK:
        return warning("jetpack", f"{message}. NVIDIA's torch for it is made for Python 3.8, and saetui needs 3.10.",
                       f"Install JetPack {OLDEST_JETPACK} or later.")  # fmt: skip
    return good("jetpack", message)


def _power(found: MachineHealth) -> Iterator[Finding]:
    if found.power_mode is None:
        return
    clocks = {True: ", clocks held at their highest", False: ", clocks follow the load", None: ""}[found.clocks_fixed]
    if found.fastest_mode is not None and found.fastest_mode[1] != found.power_mode:
        number, fastest = found.fastest_mode
        yield warning(
            "power", f"Mode {found.power_mode} limits the clocks; {fastest} does not.", f"sudo nvpmodel -m {number}"
        )
    else:
        yield good("power", f"mode {found.power_mode}{clocks}")


def _memory(found: MachineHealth) -> Finding:
    available = found.memory_available_bytes
    if available is None:
        return warning("memory", "How much memory is free is not known: there is no /proc/meminfo.",
                       "Mount /proc, or watch the memory yourself.")  # fmt: skip
    message = f"{size(available)} of {size(found.memory_total_bytes)} available"
    message += " (a cgroup allows no more)" if found.memory_is_limited else ""
    if found.swap_total_bytes is not None:
        message += f", {size(found.swap_total_bytes)} swap"
        if found.swap_on_disk_bytes is not None and found.swap_on_disk_bytes < found.swap_total_bytes:
            message += f" ({size(found.swap_total_bytes - found.swap_on_disk_bytes)} of it zram)"
    if available < LITTLE_MEMORY:
        way_out = "Allow the cgroup (container, Slurm job) more, or close" if found.memory_is_limited else "Close"
        return warning("memory", f"Only {message}.", f"{way_out} other programs: ps -e --sort=-rss -o rss,comm | head")
    return good("memory", message)


def _swap(found: MachineHealth) -> Iterator[Finding]:
    """CPU and GPU share a Jetson's memory, and the kernel ends processes when it is full."""
    total = found.memory_total_bytes
    if total is None or total >= SMALL_MACHINE or found.swap_on_disk_bytes is None or found.swap_on_disk_bytes > 0:
        return
    what = "All swap is zram, which lies in the same memory." if found.swap_total_bytes else "There is no swap."
    yield warning("swap", f"{what} Loading a large model may end the training.",
                  "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile")  # fmt: skip


def _desktop(found: MachineHealth) -> Iterator[Finding]:
    if not found.desktop:
        return
    held = f"({', '.join(found.desktop[:3])}) holds {size(found.desktop_bytes)}"
    if found.desktop_bytes > DESKTOP_SHARE * (found.memory_total_bytes or 0):
        yield warning("desktop", f"A desktop {held} of the memory that the GPU shares.",
                      "sudo systemctl isolate multi-user.target; for good: sudo systemctl set-default multi-user.target")  # fmt: skip
    else:
        yield good("desktop", f"a desktop {held}: little of this memory")


def _disk(found: MachineHealth) -> Iterator[Finding]:
    kind, speed = found.file_system or "unknown file system", found.written_bytes_per_second
    warned = [*_room(found), *_file_system(kind)]
    if found.write_error is not None:
        yield problem("disk", f"Nothing can be written at the home: {found.write_error}.",
                      "Give this user the right to write there, or set SAETUI_HOME to another disk.")  # fmt: skip
    elif speed is not None and speed < SLOW_DISK:
        warned.append(warning("disk", f"It writes only {size(speed)}/s: each checkpoint holds the training up.",
                              "Set SAETUI_HOME to a faster disk (NVMe), or take fewer checkpoints: -o checkpoint_interval=…"))  # fmt: skip
    yield from warned
    if not warned and found.write_error is None:
        written = f", writes {size(speed)}/s" if speed is not None else ""
        yield good("disk", f"{size(found.disk_free_bytes)} free on {kind}{written}")


def _room(found: MachineHealth) -> Iterator[Finding]:
    if found.disk_free_bytes is not None and found.disk_free_bytes < LITTLE_SPACE:
        yield warning("disk", f"{size(found.disk_free_bytes)} free: checkpoints and cached activations may not fit.",
                      "Delete old jobs, or set SAETUI_HOME to a larger disk.")  # fmt: skip
    if found.disk_free_files is not None and found.disk_free_files < FEW_FILES_LEFT:
        yield warning("disk", f"Only {count(found.disk_free_files)} more files fit on it (inodes).",
                      "Delete old jobs, or set SAETUI_HOME to another disk; df -i shows it.")  # fmt: skip


def _file_system(kind: str) -> Iterator[Finding]:
    way_out = "Set SAETUI_HOME to a directory on a disk of this machine."
    if kind.startswith(_NETWORK):
        yield warning(
            "disk", f"The home lies on a network ({kind}): its locks and its speed depend on the server.", way_out
        )
    elif kind in _VOLATILE:
        yield warning("disk", f"The home lies in memory ({kind}): the next start of the machine empties it.", way_out)
    elif kind == "overlay":
        yield warning("disk", "The home lies in a container's own layer (overlay): it is lost with the container.",
                      "Mount a directory of the host, and set SAETUI_HOME to it.")  # fmt: skip
    elif kind in _WITHOUT_OWNERS:
        yield warning("disk", f"The home lies on {kind}, which cannot keep files from other users.", way_out)


def _clock(found: MachineHealth) -> Finding:
    now = datetime.fromtimestamp(found.time, timezone.utc)
    shown = f"{now:%Y-%m-%d %H:%M} UTC"
    way_out = "sudo timedatectl set-ntp true"
    if now.year < FIRST_YEAR:
        return problem("clock", f"The clock says {shown}: downloads fail, and jobs get wrong dates.",
                       f"{way_out}, or set it: sudo date -s 'YYYY-MM-DD HH:MM'")  # fmt: skip
    if found.clock_is_synchronised is False:
        return warning("clock", f"No time server sets the clock, which says {shown}.", f"{way_out}, if that is wrong.")
    return good("clock", shown + (", set by a time server" if found.clock_is_synchronised else ""))
