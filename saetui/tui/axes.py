"""Axes: round limits that seldom move, ticks, and labels with enough digits (a constant 1e-9 is not 0.0)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_SMALLEST = 1e-300
"""Values that differ by less are drawn as constant: floating point has no room for ticks between them."""

_STEADY = 0.45
"""Limits stay while the values lie within them and fill this share: new limits redraw the whole chart."""


@dataclass(frozen=True)
class Axis:
    """The limits and ticks of one axis, in drawn numbers (logarithms on a logarithmic axis)."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """The place of a drawn number: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


def value_axis(
    smallest: float, largest: float, ticks: int, *, log: bool = False, zero: bool = False, before: Axis | None = None
) -> Axis:
    """The axis for values from `smallest` to `largest`.

    Args:
        smallest: finite; above 0 on a logarithmic axis.
        largest: finite, not below `smallest`.
        ticks: about how many ticks there is room for.
        log: logarithmic: `low`, `high` and `ticks` are powers of ten.
        zero: the axis begins at 0 where no value is below (not on a logarithmic one).
        before: the previous axis; kept while it fits.
    """
    if log:
        smallest, largest = math.log10(smallest), math.log10(largest)
    elif zero and smallest > 0:
        smallest = 0.0
    if before is not None and before.log == log and before.low <= smallest and largest <= before.high:
        filled = (largest - smallest) / (before.high - before.low)
        if filled >= _STEADY or largest == smallest:
            return before
    return _log_axis(smallest, largest, ticks) if log else _linear_axis(smallest, largest, ticks)


def step_axis(first: float, last: float, ticks: int) -> Axis:
    """The axis of training steps: exactly from `first` to `last`, ticks at round steps."""
    if last <= first:
        last = first + 1
    stride = max(1.0, nice_stride((last - first) / max(1, ticks)))
    start = math.ceil(first / stride)
    marks = tuple(stride * index for index in range(start, int(last / stride) + 1))
    return Axis(first, last, marks, tuple(short_step(mark) for mark in marks))


def nice_stride(about: float) -> float:
    """The nearest of 1, 2, 2.5, 5 × 10ⁿ that is not smaller."""
    exponent = math.floor(math.log10(about))
    base = 10.0**exponent
    for factor in (1.0, 2.0, 2.5, 5.0, 10.0):
        if factor * base >= about * 0.999999:
            return factor * base
    return 10.0 * base


def short_step(step: float) -> str:
    """A step in few letters: 500, 1k, 2.5k, 1M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.4g}{unit}"
    return f"{step:.4g}"


def tick_labels(ticks: Iterable[float], stride: float) -> tuple[str, ...]:
    """Labels that tell neighbouring ticks apart, in one notation for all."""
    marks = list(ticks)
    largest = max((abs(mark) for mark in marks), default=0.0)
    if largest == 0:
        return tuple("0" for _ in marks)
    top, fine = math.floor(math.log10(largest)), math.floor(math.log10(stride) + 1e-9)
    spare = 0 if abs(stride / 10.0**fine - round(stride / 10.0**fine)) < 1e-6 else 1
    if top <= -3 or fine - spare < -5:
        digits = max(0, top - fine + spare)
        return tuple(_power(mark, digits) for mark in marks)
    if top >= 4:
        return tuple(_thousands(mark, max(0, 3 * (top // 3) - fine + spare), top // 3) for mark in marks)
    return tuple(f"{mark:.{max(0, spare - fine)}f}" if mark else "0" for mark in marks)


def _linear_axis(smallest: float, largest: float, ticks: int) -> Axis:
    if largest - smallest <= max(_SMALLEST, 1e-12 * max(abs(largest), abs(smallest))):
        room = abs(largest) * 0.5 or 0.5
        smallest, largest = (smallest - room, largest + room) if abs(smallest) > _SMALLEST else (0.0, 1.0)
    stride = nice_stride((largest - smallest) / max(1, ticks))
    low = math.floor(smallest / stride + 1e-9)
    high = math.ceil(largest / stride - 1e-9)
    if high <= low:
        high = low + 1
    marks = tuple(index * stride for index in range(low, high + 1))
    return Axis(low * stride, high * stride, marks, tick_labels(marks, stride))


def _log_axis(smallest: float, largest: float, ticks: int) -> Axis:
    """Limits at 1, 2 or 5 × 10ⁿ; ticks there, or at powers of ten alone where those are enough."""
    fine = [math.log10(factor) for factor in (1, 2, 5)]
    first, last = math.floor(smallest) - 1, math.ceil(largest) + 1
    marks = [exponent + part for exponent in range(first, last + 1) for part in fine]
    low = max(mark for mark in marks if mark <= smallest + 1e-9)
    high = min(mark for mark in marks if mark >= largest - 1e-9 and mark > low + 1e-9)
    inside = [mark for mark in marks if low - 1e-9 <= mark <= high + 1e-9]
    tens = [mark for mark in inside if abs(mark - round(mark)) < 1e-9]
    if len(inside) > max(2, ticks + 1) and len(tens) >= 2:
        inside = tens[:: max(1, math.ceil(len(tens) / max(2, ticks)))]
    return Axis(low, high, tuple(inside), tuple(_log_label(mark) for mark in inside), log=True)


def _log_label(mark: float) -> str:
    value = float(f"{10**mark:.1e}")
    return f"{value:g}" if 1e-3 <= value < 1e4 else _power(value, 0)


def _power(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}"


def _thousands(value: float, digits: int, group: int) -> str:
    if value == 0:
        return "0"
    if group > 3:
        return _power(value, min(3, digits))
    return f"{value / 1000.0**group:.{digits}f}{'kMG'[group - 1]}"
