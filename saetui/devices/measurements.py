"""Measured values, or the reason why there is none: a reading never shows a zero that means nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Union

from saetui.protocol.device_load import DeviceLoad
from saetui.protocol.messages import DeviceReading

LONGEST_REASON = 28
"""Characters of a reason, so that the top line of a terminal shows it whole or not at all."""

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """Why a value cannot be measured.

    Raises:
        ValueError: the reason is longer than `LONGEST_REASON`.
    """

    reason: str

    def __post_init__(self) -> None:
        if not 0 < len(self.reason) <= LONGEST_REASON:
            raise ValueError(f"a reason of {len(self.reason)} characters: {self.reason!r}")


Measured = Union[T, Missing]

_OLD_NAMES = {
    "load": "load_share",
    "memory_used": "memory_used_bytes",
    "memory_total": "memory_total_bytes",
    "temperature": "temperature_celsius",
    "power": "power_watts",
}
"""Field of `DeviceReading` → field of `DeviceLoad`."""


def device_load(name: str, kind: str, figures: Mapping[str, Any]) -> DeviceLoad:
    """The record of one device; the reasons for absent figures go into `missing`.

    Args:
        figures: field of `DeviceLoad` → its value or a `Missing`.
    """
    known = {field: value for field, value in figures.items() if not isinstance(value, Missing)}
    missing = {field: value.reason for field, value in figures.items() if isinstance(value, Missing)}
    return DeviceLoad(name=name, kind=kind, missing=missing, **known)


def device_reading(devices: Sequence[DeviceLoad]) -> DeviceReading:
    """All devices, and the first of them in the fields that older clients know."""
    first = devices[0]
    return DeviceReading(
        name=first.name,
        kind=first.kind,
        missing={old: first.missing[field] for old, field in _OLD_NAMES.items() if field in first.missing},
        devices=tuple(devices),
        **{old: getattr(first, field) for old, field in _OLD_NAMES.items()},
    )


def measure(read: Callable[[], T], absent: str = "the kernel does not show it") -> Measured[T]:
    """What `read` finds in a file, or why there is none. `absent`: the reason where there is no such file."""
    try:
        return read()
    except FileNotFoundError:
        return Missing(absent)
    except PermissionError:
        return Missing("it may not be read")
    except OSError:
        return Missing("the sensor gives no value")
    except ValueError:
        return Missing("its value makes no sense")
