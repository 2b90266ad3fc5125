"""What `saetui doctor` asks about a machine, as the process that reads it tells the client."""

from __future__ import annotations

import msgspec


class MachineHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts, without a judgement. None or empty where one cannot be had, or does not exist on this kind of machine.

    Attributes:
        jetson: its name; None where this is none.
        l4t: the version of Jetson Linux, e.g. `36.4.3`.
        jetpack: the JetPack that this is a part of, e.g. `6.2`; only its first number where the rest is not known.
        power_mode: the mode of a Jetson's nvpmodel, e.g. `15W`.
        fastest_mode: the mode without a limit, and the number that nvpmodel knows it by.
        clocks_fixed: the GPU's clock is held at its highest (jetson_clocks).
        memory_total_bytes: no more than a cgroup allows.
        memory_available_bytes: what a process can still have, in that cgroup.
        memory_is_limited: a cgroup allows less than the machine has.
        swap_total_bytes: of all swap areas.
        swap_on_disk_bytes: of those that are not compressed memory (zram).
        desktop: the processes of a graphical session.
        desktop_bytes: what they hold of the memory, without what they share.
        file_system: the kind of the one that holds the home, e.g. `ext4`.
        disk_free_bytes: what this user can still write there.
        disk_free_files: how many files; None where the file system has no such limit.
        written_bytes_per_second: measured at the home with writes that reach the disk.
        write_error: why nothing could be written there.
        time: seconds since 1970, by the clock of the machine.
        clock_is_synchronised: a time server sets the clock, as the kernel knows.
    """

    jetson: str | None = None
    l4t: str | None = None
    jetpack: str | None = None
    power_mode: str | None = None
    fastest_mode: tuple[int, str] | None = None
    clocks_fixed: bool | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_is_limited: bool = False
    swap_total_bytes: int | None = None
    swap_on_disk_bytes: int | None = None
    desktop: tuple[str, ...] = ()
    desktop_bytes: int = 0
    file_system: str | None = None
    disk_free_bytes: int | None = None
    disk_free_files: int | None = None
    written_bytes_per_second: float | None = None
    write_error: str | None = None
    time: float
    clock_is_synchronised: bool | None = None
