"""Charts drawn in letters. The only file that knows plotext.

plotext draws each line by itself, without axes. It gets few points, all of them within the limits: a spike far outside
exhausts its memory. The lines are put together here, so that one does not hide another, and get axes of a fixed width,
so that few cells change as a curve grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saetui.display.figures import count, number
from saetui.tui.axes import Axis, step_axis, value_axis
from saetui.tui.curves import Curve, Point, Role, Segment, Style, View, clipped, limits, visible

GUTTER = 8
"""Cells left of the curves: a blank, labels of up to six letters, the axis."""

MARGIN = 1
"""Cells right of the curves."""

POINT, ASCII_POINT = "◆", "o"
"""A value of a curve of points."""

Line = list[tuple[str, Role]]


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its lines, and its value axis (for the next drawing, so that the axis stays in place)."""

    lines: list[Line]
    axis: Axis | None


def draw_chart(
    curves: Sequence[Curve], view: View, width: int, height: int, before: Axis | None = None, *, unit: str = ""
) -> Chart:
    """Draw curves into `width` × `height` cells.

    Args:
        curves: where several lines meet in a cell, they take turns.
        view: the part to show.
        width: cells; below 17 nothing can be drawn.
        height: cells, both lines of the step axis included; below 4 nothing can be drawn.
        before: the value axis of the last drawing.
        unit: one letter after each label of the value axis.
    """
    rows, columns = height - 2, width - GUTTER - MARGIN
    if rows < 2 or columns < 8:
        return Chart([], before)
    shown = [(curve, visible(curve, view, columns, 1 if view.ascii else 2)) for curve in curves]
    extent = limits((segments for _, segments in shown), view)
    axis = None
    if extent is not None:
        smallest, largest = (10.0**end if view.log else end for end in extent)
        axis = value_axis(smallest, largest, rows, log=view.log, zero=view.zero, before=before)
    canvas = _Canvas(view, axis, columns, rows, unit)
    canvas.draw(shown)
    return Chart(_with_axes(canvas.lines(), axis, view, columns, unit), axis)


class _Canvas:
    """The cells of the curves, each with its letter and role."""

    def __init__(self, view: View, axis: Axis | None, columns: int, rows: int, unit: str) -> None:
        self._view, self._axis, self._unit = view, axis, unit
        self._columns, self._rows = columns, rows
        self._cells: list[list[tuple[str, Role]]] = [[(" ", "label")] * columns for _ in range(rows)]

    def draw(self, shown: Sequence[tuple[Curve, list[Segment]]]) -> None:
        """Draw the inspected step, then dots, lines, marks, each over the one before."""
        self._inspection()
        if self._axis is None:
            return
        behind = [(curve, segments) for curve, segments in shown if curve.style is Style.DOTS]
        lines = [(curve, segments) for curve, segments in shown if curve.style is Style.LINE]
        self._share([(curve.role, self._plotted(curve, segments)) for curve, segments in behind])
        plotted = [self._plotted(curve, segments) for curve, segments in lines]
        self._share([(curve.role, text) for (curve, _), text in zip(lines, plotted)])
        if not self._view.ascii:
            for index, ((curve, _), text) in enumerate(zip(lines, plotted)):
                self._letters(curve, text, index, len(lines))
        self._points([(curve, segments) for curve, segments in shown if curve.style is Style.POINTS])
        everything = [(curve.role, point) for curve, segments in shown for segment in segments for point in segment]
        self._cut_off(0, "^" if self._view.ascii else "↑", [one for one in everything if one[1][1] > self._axis.high])
        self._cut_off(-1, "v" if self._view.ascii else "↓", [one for one in everything if one[1][1] < self._axis.low])

    def lines(self) -> list[Line]:
        return [_grouped(row) for row in self._cells]

    def _plotted(self, curve: Curve, segments: Iterable[Segment]) -> list[str]:
        """One curve by itself, as plotext draws it: rows of `columns` letters."""
        import plotext

        view, axis = self._view, self._axis
        assert axis is not None
        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(self._columns, self._rows)
        plotext.frame(False)
        plotext.xaxes(False, False)
        plotext.yaxes(False, False)
        plotext.xticks([])
        plotext.yticks([])
        plotext.xlim(view.first, view.last if view.last > view.first else view.first + 1)
        plotext.ylim(axis.low, axis.high)
        marker = "." if view.ascii and curve.style is Style.DOTS else (curve.letter or "*") if view.ascii else "braille"
        for segment in segments:
            for part in clipped(segment, axis.low, axis.high):
                draw = plotext.plot if len(part) > 1 and curve.style is Style.LINE else plotext.scatter
                draw([step for step, _ in part], [value for _, value in part], marker=marker)
        rows = _COLOUR.sub("", plotext.build()).replace(_NO_DOTS, " ").split("\n")
        return [row[: self._columns].ljust(self._columns) for row in rows[: self._rows]]

    def _share(self, layers: Sequence[tuple[Role, list[str]]]) -> None:
        """Put lines into the cells. Those that meet in a cell take turns, so that none is hidden."""
        for y in range(self._rows):
            for x in range(self._columns):
                here = [(text[y][x], role) for role, text in layers if text[y][x] != " "]
                if here:
                    self._cells[y][x] = here[x // 2 % len(here)]

    def _letters(self, curve: Curve, text: list[str], index: int, count: int) -> None:
        """Write a curve's letter on it here and there, each curve's at columns of its own."""
        if not curve.letter:
            return
        apart = max(4 * count, self._columns // 3)
        for x in range(apart * (2 * index + 1) // (2 * count), self._columns, apart):
            rows = [y for y in range(self._rows) if text[y][x] != " "]
            if rows:
                self._cells[rows[len(rows) // 2]][x] = (curve.letter, curve.role)

    def _points(self, layers: Sequence[tuple[Curve, list[Segment]]]) -> None:
        """Single marks; one whose cell is taken stands beside it."""
        axis = self._axis
        assert axis is not None
        dots = 1 if self._view.ascii else 4
        taken: set[tuple[int, int]] = set()
        for curve, segments in layers:
            mark = curve.letter or (ASCII_POINT if self._view.ascii else POINT)
            for ((step, value),) in segments:
                if not axis.low <= value <= axis.high:
                    continue
                x, y = self._column(step), self._rows - 1 - round(axis.share(value) * (dots * self._rows - 1)) // dots
                while (x, y) in taken and x + 1 < self._columns:
                    x += 1
                taken.add((x, y))
                self._cells[y][x] = (mark, curve.role)

    def _cut_off(self, y: int, arrow: str, points: Sequence[tuple[Role, Point]]) -> None:
        """Arrows in a row where values lie beyond the axis, and the farthest of them."""
        if not points or self._axis is None:
            return
        for role, (step, _) in points:
            self._cells[y][self._column(step)] = (arrow, role)
        middle = (self._axis.low + self._axis.high) / 2
        farthest = max((value for _, (_, value) in points), key=lambda value: abs(value - middle))
        text = f" {number(farthest)}{self._unit} "
        after = max(self._column(step) for _, (step, _) in points) + 1
        for start in range(after, min(after + _NEAR, self._columns - len(text) + 1)):
            if all(letter in " │|" for letter, _ in self._cells[y][start : start + len(text)]):
                self._cells[y][start : start + len(text)] = [(letter, "label") for letter in text]
                break

    def _inspection(self) -> None:
        view = self._view
        if view.inspect is not None and view.first <= view.inspect <= view.last:
            for row in self._cells:
                row[self._column(view.inspect)] = ("|" if view.ascii else "│", "inspect")

    def _column(self, step: float) -> int:
        view = self._view
        return round((step - view.first) / ((view.last - view.first) or 1) * (self._columns - 1))


_NEAR = 6
"""Cells after the arrows, within which their figure is written."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NO_DOTS = "\u2800"


def _grouped(letters: Iterable[tuple[str, Role]]) -> Line:
    pieces: Line = []
    for letter, role in letters:
        if pieces and pieces[-1][1] == role:
            pieces[-1] = (pieces[-1][0] + letter, role)
        else:
            pieces.append((letter, role))
    return pieces


def _with_axes(canvas: list[Line], axis: Axis | None, view: View, columns: int, unit: str) -> list[Line]:
    """The value axis to the left, the step axis beneath."""
    upright, tick, corner, flat, mark, cut = tuple("|++-+~") if view.ascii else tuple("│┤└─┬≈")
    rows = len(canvas)
    labels: dict[int, str] = {}
    if axis is not None:
        ticks = zip(axis.ticks, axis.labels)
        labels = {round((1 - axis.share(value)) * (rows - 1)): text + unit for value, text in ticks}
    lines: list[Line] = []
    for row, pieces in enumerate(canvas):
        label: Line = [(labels.get(row, "").rjust(GUTTER - 1), "label"), (tick if row in labels else upright, "axis")]
        lines.append([*label, *pieces, (" " * MARGIN, "label")])
    steps = step_axis(view.first, view.last, max(1, columns // 12))
    places = [min(columns - 1, round(steps.share(step) * (columns - 1))) for step in steps.ticks]
    ground = [mark if column in places else flat for column in range(columns)]
    origin = (cut, "label") if axis is not None and axis.cuts_zero_off else (corner, "axis")
    lines.append([(" " * (GUTTER - 1), "label"), origin, ("".join(ground) + " " * MARGIN, "axis")])
    names: Line = [(" ", "label")] * (GUTTER + columns + MARGIN)
    if view.inspect is not None and view.first <= view.inspect <= view.last:
        _name(names, round(steps.share(view.inspect) * (columns - 1)), count(int(view.inspect)), "strong")
    for place, text in zip(places, steps.labels):
        _name(names, place, text, "label")
    lines.append(_grouped(names))
    return lines


def _name(names: Line, column: int, text: str, role: Role) -> None:
    """Write the number of a step below its column, if the place is free."""
    start = min(GUTTER + column - len(text) // 2, len(names) - MARGIN - len(text))
    if all(letter == " " for letter, _ in names[start - 1 : start + len(text) + 1]):
        names[start : start + len(text)] = [(letter, role) for letter in text]
