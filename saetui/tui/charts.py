"""Curves drawn in letters. The only file that knows plotext.

plotext gets little data, and only finite numbers: other values are gaps, logarithms are taken here, each column gets its
smallest and largest value, and no point lies outside the viewport (a spike far outside exhausts plotext's memory).
It draws the curves alone; axes and labels are made here, of fixed width, so that few cells change as a curve grows.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from saetui.tui.axes import Axis, step_axis, value_axis

GUTTER = 8
"""Cells left of the curves: labels of up to seven letters, then the axis."""

Role = str
"""The kind of a piece of a chart: `label`, `axis`, `inspect`, `curve-1` …, `faint` (the curve under a smoothed one)."""

Line = list[tuple[str, Role]]


@dataclass(frozen=True)
class Curve:
    """One series. `steps` grow; `values` may hold NaN and infinities.

    Attributes:
        role: its colour, e.g. `curve-1`.
        label: for the legend.
    """

    steps: Sequence[int]
    values: Sequence[float]
    role: Role = "curve-1"
    label: str = ""

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
        last: the step at the right edge: a job's last step, so that the axis never moves.
        log: logarithmic values.
        zero: the value axis begins at 0.
        smoothing: weight of the past in the moving average, 0 (off) to below 1.
        ascii: ASCII letters instead of braille dots.
        inspect: a step to mark with a line.
    """

    first: float
    last: float
    log: bool = False
    zero: bool = False
    smoothing: float = 0.0
    ascii: bool = False
    inspect: float | None = None


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its lines, and its value axis (for the next drawing, so that the axis stays in place)."""

    lines: list[Line]
    axis: Axis | None


def draw_chart(
    curves: Sequence[Curve],
    view: View,
    width: int,
    height: int,
    before: Axis | None = None,
    *,
    step_labels: bool = True,
    unit: str = "",
) -> Chart:
    """Draw curves into `width` × `height` cells.

    Args:
        curves: drawn in this order, later ones on top.
        view: the part to show.
        width: cells; below 16 nothing can be drawn.
        height: cells, axis included; below 3 nothing can be drawn.
        before: the value axis of the last drawing.
        step_labels: a line with steps below the axis.
        unit: one letter after each label of the value axis.
    """
    rows = height - (2 if step_labels else 1)
    columns = width - GUTTER
    if rows < 1 or columns < 8:
        return Chart([], before)
    shown = [_reduce(curve, view, columns if view.ascii else 2 * columns) for curve in curves]
    values = [value for _, segments in shown for segment in segments for _, value in segment]
    if not values:
        blank: list[Line] = [[(" " * columns, "label")] for _ in range(rows)]
        return Chart(_with_axes(blank, None, view, columns, rows, step_labels), None)
    smallest, largest = (10.0**value if view.log else value for value in (min(values), max(values)))
    ticks = max(1, min(5, (rows - 1) // 2))
    axis = value_axis(smallest, largest, ticks, log=view.log, zero=view.zero, before=before)
    canvas = _plot(shown, axis, view, columns, rows)
    if view.inspect is not None:
        canvas = _with_inspection(canvas, view, columns)
    return Chart(_with_axes(canvas, axis, view, columns, rows, step_labels, unit), axis)


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


_Segment = list[tuple[float, float]]
"""Points that are joined by a line: step, drawn number (a logarithm on a logarithmic axis)."""

_Reduced = tuple[Role, list[_Segment]]


def _reduce(curve: Curve, view: View, columns: int) -> _Reduced:
    """The smallest and largest value of each column; a column without a value that can be drawn is a gap."""
    steps, values = curve.steps, curve.values
    start = max(0, bisect_left(steps, view.first) - 1)
    stop = min(len(steps), bisect_right(steps, view.last) + 1)
    width = (view.last - view.first) / columns or 1.0
    segments: list[_Segment] = [[]]
    low = start
    while low < stop:
        column = math.floor((min(max(steps[low], view.first), view.last) - view.first) / width)
        edge = view.first + (column + 1) * width
        high = stop if column >= columns - 1 else bisect_left(steps, edge, low + 1, stop)
        extent = _extent(values[low:high], view.log)
        if extent is None:
            if segments[-1]:
                segments.append([])
        else:
            middle = (min(max(steps[low], view.first), view.last) + min(steps[high - 1], view.last)) / 2
            _append(segments[-1], middle, extent)
        low = high
    return curve.role, [segment for segment in segments if segment]


def _extent(values: Sequence[float], log: bool) -> tuple[float, float] | None:
    smallest, largest = min(values), max(values)
    # One pass in C for the common case: the sum is finite only when every value is.
    if not math.isfinite(sum(values)) or (log and smallest <= 0):
        drawn = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        if not drawn:
            return None
        smallest, largest = min(drawn), max(drawn)
    return (math.log10(smallest), math.log10(largest)) if log else (smallest, largest)


def _append(segment: _Segment, step: float, extent: tuple[float, float]) -> None:
    """Two points, the one nearer to the previous point first."""
    low, high = extent
    if low == high:
        segment.append((step, low))
    elif segment and abs(segment[-1][1] - high) < abs(segment[-1][1] - low):
        segment.extend([(step, high), (step, low)])
    else:
        segment.extend([(step, low), (step, high)])


_ASCII_MARKERS = "*+ox#@%&"
_COLOUR = re.compile(r"\x1b\[([0-9;]*)m")
_FIRST_COLOUR = 16


def _plot(shown: Sequence[_Reduced], axis: Axis, view: View, columns: int, rows: int) -> list[Line]:
    """The curves alone, as lines of exactly `columns` cells."""
    import plotext

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(columns, rows)
    plotext.frame(False)
    plotext.xaxes(False, False)
    plotext.yaxes(False, False)
    plotext.xticks([])
    plotext.yticks([])
    plotext.xlim(view.first, view.last if view.last > view.first else view.first + 1)
    plotext.ylim(axis.low, axis.high)
    for index, (_, segments) in enumerate(shown):
        marker = _ASCII_MARKERS[index % len(_ASCII_MARKERS)] if view.ascii else "braille"
        for segment in segments:
            inside = [(step, min(max(number, axis.low), axis.high)) for step, number in segment]
            draw = plotext.plot if len(inside) > 1 else plotext.scatter
            draw([x for x, _ in inside], [y for _, y in inside], marker=marker, color=_FIRST_COLOUR + index)
    roles = {_FIRST_COLOUR + index: role for index, (role, _) in enumerate(shown)}
    built = plotext.build().split("\n")
    return [_read_line(text, roles, columns) for text in built[:rows]]


def _read_line(text: str, roles: dict[int, Role], columns: int) -> Line:
    """A line of plotext's output, with roles in place of its colours."""
    pieces: Line = []
    role = "label"
    used = 0
    for index, part in enumerate(_COLOUR.split(text)):
        if index % 2:
            code = part.split(";")
            role = roles.get(int(code[2]), "label") if len(code) == 3 and code[0] == "38" else "label"
        elif part:
            part = part[: columns - used]
            used += len(part)
            pieces.append((part, role))
    if used < columns:
        pieces.append((" " * (columns - used), "label"))
    return pieces


def _with_inspection(canvas: list[Line], view: View, columns: int) -> list[Line]:
    """A line through the inspected step, behind the curves."""
    assert view.inspect is not None
    if not view.first <= view.inspect <= view.last:
        return canvas
    at = round((view.inspect - view.first) / ((view.last - view.first) or 1) * (columns - 1))
    marked: list[Line] = []
    for pieces in canvas:
        letters = [(letter, role) for text, role in pieces for letter in text]
        if letters[at][0] == " ":
            letters[at] = ("|" if view.ascii else "│", "inspect")
        marked.append(_grouped(letters))
    return marked


def _grouped(letters: Line) -> Line:
    pieces: Line = []
    for letter, role in letters:
        if pieces and pieces[-1][1] == role:
            pieces[-1] = (pieces[-1][0] + letter, role)
        else:
            pieces.append((letter, role))
    return pieces


def _with_axes(
    canvas: list[Line], axis: Axis | None, view: View, columns: int, rows: int, step_labels: bool, unit: str = ""
) -> list[Line]:
    """The value axis to the left, the step axis beneath."""
    upright, tick, corner, flat, mark = tuple("|++-+") if view.ascii else tuple("│┤└─┬")
    labels: dict[int, str] = {}
    for value, text in zip(axis.ticks, axis.labels) if axis else ():
        row = round((1 - axis.share(value)) * (rows - 1)) if axis else 0
        labels.setdefault(min(max(row, 0), rows - 1), text + unit)
    lines: list[Line] = [
        [
            (labels.get(row, "").rjust(GUTTER - 1)[: GUTTER - 1], "label"),
            (tick if row in labels else upright, "axis"),
            *pieces,
        ]
        for row, pieces in enumerate(canvas)
    ]
    steps = step_axis(view.first, view.last, max(1, columns // 12))
    ground = [flat] * columns
    names = [" "] * (columns + GUTTER)
    for value, text in zip(steps.ticks, steps.labels):
        at = min(columns - 1, round(steps.share(value) * (columns - 1)))
        ground[at] = mark
        start = min(GUTTER + at - len(text) // 2, columns + GUTTER - len(text))
        if all(letter == " " for letter in names[max(0, start - 1) : start + len(text)]):
            names[start : start + len(text)] = text
    lines.append([(" " * (GUTTER - 1), "label"), (corner + "".join(ground), "axis")])
    if step_labels:
        lines.append([("".join(names), "label")])
    return lines
