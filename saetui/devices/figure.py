"""A figure that was read, or the reason why it cannot be had: never a zero that means nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, Union

from saetui.protocol.messages import DeviceReading

T = TypeVar("T")


@dataclass(frozen=True)
class Missing:
    """Why a figure cannot be had."""

    reason: str


Figure = Union[float, Missing]


def reading(name: str, kind: str, figures: Mapping[str, Figure]) -> DeviceReading:
    """A `DeviceReading` of what was read; the reasons of the rest go into `missing`.

    Args:
        name: the device's name.
        kind: `cpu`, `cuda` or `jetson`.
        figures: load, memory_used, memory_total, temperature and power.
    """

    def number(field: str) -> float | None:
        figure = figures[field]
        return None if isinstance(figure, Missing) else figure

    def count(field: str) -> int | None:
        value = number(field)
        return None if value is None else int(value)

    return DeviceReading(
        name=name,
        kind=kind,
        load=number("load"),
        memory_used=count("memory_used"),
        memory_total=count("memory_total"),
        temperature=number("temperature"),
        power=number("power"),
        missing={field: figure.reason for field, figure in figures.items() if isinstance(figure, Missing)},
    )


def attempt(read: Callable[[], float]) -> Figure:
    """The figure that a file gives, or why it does not."""
    try:
        return read()
    except FileNotFoundError as error:
        return Missing(f"{error.filename} does not exist")
    except (OSError, ValueError) as error:
        return Missing(str(error))
