"""What one device of a machine does now, as the supervisor tells it to clients."""

from __future__ import annotations

import msgspec


class DeviceLoad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One device. The unit is in each field's name; a figure that cannot be had is None, never 0.

    Attributes:
        name: e.g. `NVIDIA H100 PCIe`.
        kind: `cpu`, `cuda` (an NVIDIA card) or `jetson` (the GPU and the memory that it shares with the CPU).
        load_share: 0 to 1.
        memory_total_bytes: of a CPU or Jetson: no more than a cgroup allows this process.
        memory_available_bytes: what a process can still have. Files in the page cache count as available.
        memory_used_bytes: the total without what is available.
        swap_total_bytes: of all swap areas. Not of cards, and neither is what follows about zram.
        zram_stored_bytes: what lies in swap areas of compressed memory, as large as it was.
        zram_memory_bytes: the memory that this takes.
        temperature_celsius: of the sensor nearest to the device.
        temperatures_celsius: of all sensors that can be read, by the kernel's names for them.
        power_watts: of a Jetson: all that is measured, of the whole machine where the input is.
        rails_watts: a Jetson's power rails by name. A rail may be a part of another.
        power_mode: the mode of a Jetson's nvpmodel, e.g. `15W`.
        slowed_by: why a card's clocks are lower than they could be; empty where nothing slows it.
        missing: for each figure that this kind of device could have and that is None, the reason. It has 28 characters
            at most.
    """

    name: str
    kind: str
    load_share: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    memory_used_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    zram_stored_bytes: int | None = None
    zram_memory_bytes: int | None = None
    temperature_celsius: float | None = None
    temperatures_celsius: dict[str, float] = {}
    power_watts: float | None = None
    rails_watts: dict[str, float] = {}
    power_mode: str | None = None
    slowed_by: tuple[str, ...] | None = None
    missing: dict[str, str] = {}
