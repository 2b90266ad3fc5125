"""Curves as numbers: what of them is visible, reduced to the columns of a chart, and the limits that suit it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

Role = str
"""The kind of a piece of a chart: `label`, `axis`, `inspect`, `curve-1` …, `faint` (the curve under a smoothed one)."""

_SETTLED_FROM = 0.2
"""The share of the steps so far in which a training may be steep: what is much higher or lower there may be cut off."""

_STEEP = 2.5
"""The start is cut off where it makes the axis so many times longer."""

_FEWEST = 10
"""Points, below which nothing is cut off."""

_APART = 3
"""Cells from one point of a curve of points to the next, so that a line behind them is seen."""


class Style(Enum):
    """How a curve is drawn: as a line; as dots, behind all lines; as single marks, before them."""

    LINE = "line"
    DOTS = "dots"
    POINTS = "points"


@dataclass(frozen=True)
class Curve:
    """One series. `steps` grow; `values` may hold NaN and infinities.

    Attributes:
        role: its colour, e.g. `curve-1`.
        label: for the legend.
        letter: tells it apart from the other curves of the chart without colour; "" where it is the only line.
        exact: not an estimate from few tokens, so it is never smoothed.
    """

    steps: Sequence[int]
    values: Sequence[float]
    role: Role = "curve-1"
    label: str = ""
    letter: str = ""
    style: Style = Style.LINE
    exact: bool = False

    def at(self, step: float) -> tuple[int, float] | None:
        """The nearest point to a step, or None where the curve is empty."""
        if not self.steps:
            return None
        right = min(bisect_left(self.steps, step), len(self.steps) - 1)
        if right and step - self.steps[right - 1] <= self.steps[right] - step:
            right -= 1
        return self.steps[right], self.values[right]


@dataclass(frozen=True)
class View:
    """The part of the curves that is shown, and how.

    Attributes:
        first: the step at the left edge.
        last: the step at the right edge.
        whole: nothing is zoomed, so a steep start may be cut off.
        log: logarithmic values.
        zero: the value axis begins at 0.
        smoothing: weight of the past in the moving average, 0 (off) to below 1.
        ascii: ASCII letters instead of braille dots.
        inspect: a step to mark with a line.
    """

    first: float
    last: float
    whole: bool = True
    log: bool = False
    zero: bool = False
    smoothing: float = 0.0
    ascii: bool = False
    inspect: float | None = None


Point = tuple[float, float]
"""A step and a drawn number (a logarithm on a logarithmic axis)."""

Segment = list[Point]
"""Points that are joined by a line."""


def visible(curve: Curve, view: View, columns: int, dots: int) -> list[Segment]:
    """The visible part of a curve.

    Args:
        columns: cells.
        dots: of lines in each column. Each has the smallest and the largest value of its steps.
    """
    if curve.style is Style.POINTS:
        return [[point] for point in _spread(curve, view, max(1, columns // _APART))]
    return _reduced(curve, view, dots * columns)


def limits(shown: Iterable[Iterable[Segment]], view: View) -> tuple[float, float] | None:
    """The smallest and largest drawn number for the axis; None where nothing is visible.

    The start of a training may be cut off where it would flatten everything after it.
    """
    points = [point for segments in shown for segment in segments for point in segment]
    if not points:
        return None
    low, high = min(value for _, value in points), max(value for _, value in points)
    if not view.whole or view.log or len(points) < _FEWEST:
        return low, high
    newest = max(step for step, _ in points)
    settled = [value for step, value in points if step >= view.first + _SETTLED_FROM * (newest - view.first)]
    bottom, top = min(settled), max(settled)
    room = 0.5 * (top - bottom)
    if high - low <= _STEEP * (top - bottom) or room <= 1e-3 * max(abs(bottom), abs(top)):
        return low, high
    return max(low, bottom - room), min(high, top + room)


def clipped(segment: Segment, low: float, high: float) -> list[Segment]:
    """The parts of a line that lie between two numbers."""
    parts: list[Segment] = [[]]
    for index, (step, value) in enumerate(segment):
        if index:
            parts[-1].extend(_crossings(segment[index - 1], (step, value), low, high))
        if low <= value <= high:
            parts[-1].append((step, value))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, corrected for its start (as in Adam); values that are not finite stay and do not count."""
    result: list[float] = []
    average, seen = 0.0, 0.0
    for value in values:
        if math.isfinite(value):
            average = weight * average + (1 - weight) * value
            seen = weight * seen + (1 - weight)
            result.append(average / seen)
        else:
            result.append(value)
    return result


def _drawn(value: float, log: bool) -> float | None:
    """The number to draw; None where there is none."""
    if not math.isfinite(value) or (log and value <= 0):
        return None
    return math.log10(value) if log else value


def _spread(curve: Curve, view: View, places: int) -> list[Point]:
    """The visible points, at most one (the newest) for each place."""
    found: dict[int, Point] = {}
    start, stop = bisect_left(curve.steps, view.first), bisect_right(curve.steps, view.last)
    for step, value in zip(curve.steps[start:stop], curve.values[start:stop]):
        number = _drawn(value, view.log)
        if number is not None:
            found[int((step - view.first) / ((view.last - view.first) or 1) * places)] = (float(step), number)
    return list(found.values())


def _reduced(curve: Curve, view: View, columns: int) -> list[Segment]:
    """The smallest and largest value of each column; a column without a value that can be drawn is a gap."""
    steps, values = curve.steps, curve.values
    start, stop = bisect_left(steps, view.first), bisect_right(steps, view.last)
    width = (view.last - view.first) / columns or 1.0
    segments: list[Segment] = [_edge(curve, start, view.first, view.log)]
    low = start
    while low < stop:
        column = math.floor((steps[low] - view.first) / width)
        edge = view.first + (column + 1) * width
        high = stop if column >= columns - 1 else bisect_left(steps, edge, low + 1, stop)
        extent = _extent(values[low:high], view.log)
        if extent is not None:
            _append(segments[-1], (steps[low] + steps[high - 1]) / 2, extent)
        elif segments[-1]:
            segments.append([])
        low = high
    segments[-1].extend(_edge(curve, stop, view.last, view.log))
    return [segment for segment in segments if segment]


def _edge(curve: Curve, index: int, step: float, log: bool) -> Segment:
    """Where the line between a visible point and a hidden one crosses the edge of the view."""
    if not 0 < index < len(curve.steps) or curve.style is Style.DOTS:
        return []
    before, after = _drawn(curve.values[index - 1], log), _drawn(curve.values[index], log)
    if before is None or after is None:
        return []
    share = (step - curve.steps[index - 1]) / (curve.steps[index] - curve.steps[index - 1])
    return [(step, before + share * (after - before))] if 0 < share < 1 else []


def _extent(values: Sequence[float], log: bool) -> tuple[float, float] | None:
    smallest, largest = min(values), max(values)
    # One pass in C for the common case: the sum is finite only when every value is.
    if not math.isfinite(sum(values)) or (log and smallest <= 0):
        drawn = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        if not drawn:
            return None
        smallest, largest = min(drawn), max(drawn)
    return (math.log10(smallest), math.log10(largest)) if log else (smallest, largest)


def _append(segment: Segment, step: float, extent: tuple[float, float]) -> None:
    """Two points, the one nearer to the previous point first."""
    low, high = extent
    if low == high:
        segment.append((step, low))
    elif segment and abs(segment[-1][1] - high) < abs(segment[-1][1] - low):
        segment.extend([(step, high), (step, low)])
    else:
        segment.extend([(step, low), (step, high)])


def _crossings(start: Point, end: Point, low: float, high: float) -> list[Point]:
    """Where the line from one point to the next crosses the limits, in the order of the line."""
    found = [
        (start[0] + (limit - start[1]) / (end[1] - start[1]) * (end[0] - start[0]), limit)
        for limit in (low, high)
        if min(start[1], end[1]) < limit < max(start[1], end[1])
    ]
    return found if start[1] < end[1] else found[::-1]
