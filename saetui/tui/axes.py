"""Axes: round limits that seldom move, because new limits redraw the whole chart; ticks that are equal steps apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from saetui.display.ticks import log_label, step_label, tick_labels

_SMALLEST = 1e-99
"""Values that differ by less are drawn as constant: labels have no room for longer exponents."""

_STEADY = 0.45
"""Limits stay while the values lie within them and fill this share."""

_MOST_TICKS = 6
_TALL = 12
"""Rows from which on there are four ticks or more, else three."""

_ROUND = (1.0, 2.0, 2.5, 5.0)
_ROUND_VALUES = (1.0, 2.0, 3.0, 4.0, 5.0)
"""Strides of the value axis. Its ticks are on rows, so it cannot choose how many there are: it needs more strides."""

_FACTORS = (1.25, 1.5, 2.0, 3.0, 5.0)
"""From one tick to the next of a logarithmic axis; above these, powers of ten."""

_BASES = tuple(math.log10(base) for base in (1, 1.5, 2, 3, 4, 5, 6, 8))
"""Where the logarithmic axis of such a factor may begin, times a power of ten."""


@dataclass(frozen=True)
class Axis:
    """The limits and ticks of one axis, in drawn numbers (logarithms on a logarithmic axis).

    Attributes:
        rows: of a value axis: each tick is exactly on one of so many rows.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False
    rows: int = 0

    @property
    def cuts_zero_off(self) -> bool:
        return not self.log and self.low > 0

    def share(self, value: float) -> float:
        """The place of a drawn number: 0 at the low end, 1 at the high end."""
        return (value - self.low) / (self.high - self.low)


def value_axis(
    smallest: float, largest: float, rows: int, *, log: bool = False, zero: bool = False, before: Axis | None = None
) -> Axis:
    """The axis for values from `smallest` to `largest`.

    Args:
        smallest: finite; above 0 on a logarithmic axis.
        largest: finite, not below `smallest`.
        rows: the lowest row is the low end, the highest one the high end.
        log: logarithmic: `low`, `high` and `ticks` are powers of ten.
        zero: the axis begins at 0 where no value is below (not on a logarithmic one).
        before: the previous axis; kept while it fits.
    """
    if log:
        smallest, largest = math.log10(smallest), math.log10(largest)
    elif zero and smallest > 0:
        smallest = 0.0
    if (
        before is not None
        and (before.log, before.rows) == (log, rows)
        and before.low <= smallest
        and largest <= before.high
    ):
        filled = (largest - smallest) / (before.high - before.low)
        if filled >= _STEADY or largest == smallest:
            return before
    return _log_axis(smallest, largest, rows) if log else _linear_axis(smallest, largest, rows)


def step_axis(first: float, last: float, ticks: int) -> Axis:
    """The axis of training steps: exactly from `first` to `last`, about `ticks` ticks at round steps."""
    if last <= first:
        last = first + 1
    stride = max(1.0, round_stride((last - first) / max(1, ticks)))
    start = math.ceil(first / stride)
    marks = tuple(stride * index for index in range(start, int(last / stride) + 1))
    return Axis(first, last, marks, tuple(step_label(mark) for mark in marks))


def last_shown_step(newest: int, planned: int | None, *, ended: bool) -> float:
    """The step at the right edge: of an ended run its last one, else 1, 2 or 5 × 10ⁿ, so that it moves seldom.

    Args:
        newest: the newest step that was logged.
        planned: the steps of the whole training, if they are known.
    """
    if ended:
        return float(max(1, newest))
    end = next(factor * 10.0**power for power in range(1, 20) for factor in (1, 2, 5) if factor * 10.0**power >= newest)
    return end if planned is None else min(end, float(max(planned, newest, 1)))


def round_stride(about: float) -> float:
    """The nearest of 1, 2, 2.5, 5 × 10ⁿ that is not smaller."""
    return next(_strides(about, _ROUND))


def _strides(about: float, factors: tuple[float, ...]) -> Iterator[float]:
    """Factors times powers of ten, from `about` on, each larger than the one before."""
    power = math.floor(math.log10(about))
    while True:
        yield from (factor * 10.0**power for factor in factors if factor * 10.0**power >= about * 0.999999)
        power += 1


def _linear_axis(smallest: float, largest: float, rows: int) -> Axis:
    size = max(abs(largest), abs(smallest))
    if largest - smallest <= max(_SMALLEST, 1e-12 * size):
        room = abs(largest) * 0.1
        smallest, largest = (smallest - room, largest + room) if abs(smallest) > _SMALLEST else (0.0, 1.0)
    # Labels have room for four digits; for two beside an exponent.
    power = math.floor(math.log10(max(size, _SMALLEST)))
    finest = 10.0 ** (power - (3 if -3 < power < 12 else 1)) if size > _SMALLEST else _SMALLEST
    found = []
    for apart, gaps in _spacings(rows):
        for stride in _strides(max(finest, (largest - smallest) / gaps), _ROUND_VALUES):
            low = math.floor(smallest / stride + 1e-9)
            if low * stride + gaps * stride >= largest - 1e-9 * stride:
                found.append((gaps * stride, apart, low, stride))
                break
    span, apart, low, stride = min(found)
    marks = tuple((low + index) * stride for index in range((max(2, rows) - 1) // apart + 1))
    return Axis(low * stride, low * stride + span, marks, tick_labels(marks, stride), rows=rows)


def _log_axis(smallest: float, largest: float, rows: int) -> Axis:
    found = []
    for apart, gaps in _spacings(rows):
        for stride, bases in _log_strides():
            whole = math.floor(smallest + 1e-9)
            low = whole + max(base for base in bases if whole + base <= smallest + 1e-9)
            if low + gaps * stride >= largest - 1e-9:
                found.append((gaps * stride, apart, low, stride))
                break
    span, apart, low, stride = min(found)
    marks = tuple(low + index * stride for index in range((max(2, rows) - 1) // apart + 1))
    return Axis(low, low + span, marks, tuple(log_label(10.0**mark) for mark in marks), log=True, rows=rows)


def _spacings(rows: int) -> Iterator[tuple[int, float]]:
    """How many rows ticks may be apart, and how many such gaps the axis then has."""
    room = max(2, rows) - 1
    fewest = min(4 if rows >= _TALL else 3, room + 1)
    for apart in range(1, room + 1):
        if fewest <= room // apart + 1 <= _MOST_TICKS:
            yield apart, room / apart


def _log_strides() -> Iterator[tuple[float, tuple[float, ...]]]:
    """The logarithms of factors between ticks, and of the numbers at which the axis may then begin."""
    yield from ((math.log10(factor), _BASES) for factor in _FACTORS)
    yield from ((float(power), (0.0,)) for power in range(1, 700))
