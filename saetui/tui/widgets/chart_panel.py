"""One chart with its title: name, newest values, or those at the inspected step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.strip import Strip

from saetui.display.figures import count
from saetui.display.text import shorten
from saetui.tui.axes import Axis
from saetui.tui.charts import ASCII_POINT, POINT, Chart, draw_chart
from saetui.tui.curves import Curve, Style, View, smoothed
from saetui.tui.metrics import METRICS, Metric
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line

_SMOOTHED_POINTS = 2000
"""A longer curve is thinned to this many means before it is smoothed: no chart is wider."""


class ChartPanel(LineCanvas):
    """Draws the metric that it is given."""

    def __init__(self, *, focusable: bool = False) -> None:
        super().__init__()
        self.can_focus = focusable
        self.metric = METRICS[0]
        self.curves: Sequence[Curve] = ()
        self.view = View(0, 1)
        self._axis: Axis | None = None
        self._drawn: tuple[object, Chart] | None = None

    def show(self, metric: Metric, curves: Sequence[Curve], view: View) -> None:
        """Draw these curves; unchanged cells are not sent."""
        if metric != self.metric or view.log != self.view.log:
            self._axis = None
        self.metric, self.curves = metric, curves
        self.view = replace(view, log=view.log and metric.log_scale, zero=metric.zero)
        self.repaint()

    @property
    def steps(self) -> Sequence[int]:
        """The logged steps of its first curve."""
        return self.curves[0].steps if self.curves else ()

    def clear(self) -> None:
        """Forget the curves and the axis: another job."""
        self.curves = ()
        self._axis = None
        self._drawn = None

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        chart = self._chart(width, height - 1)
        styles = {role: self.colour(role) for role in {role for pieces in chart.lines for _, role in pieces} - _AXES}
        styles |= {"label": self.colour("muted"), "axis": self.colour("faint"), "inspect": self.colour("muted")}
        return [self._title(width)] + [line(*((text, styles[role]) for text, role in pieces)) for pieces in chart.lines]

    def _chart(self, width: int, height: int) -> Chart:
        """The drawn chart; drawn again only where curves, view or size have changed."""
        newest = tuple((len(curve.steps), curve.steps[-1:], curve.values[-1:], curve.label) for curve in self.curves)
        key = (self.metric, newest, self.view, width, height)
        if self._drawn is None or self._drawn[0] != key:
            curves = self._smooth() if self.view.smoothing else self.curves
            if self.metric.scale != 1:
                curves = [_scaled(curve, self.metric.scale) for curve in curves]
            chart = draw_chart(curves, self.view, width, height, self._axis, unit=self.metric.unit)
            self._axis = chart.axis
            self._drawn = (key, chart)
        return self._drawn[1]

    def _smooth(self) -> list[Curve]:
        """Each curve as it is, in dots, and its moving average above; what is exact as it is."""
        dots = [replace(curve, role="faint", style=Style.DOTS) for curve in self.curves if not curve.exact]
        weight = self.view.smoothing
        return dots + [curve if curve.exact else _average(curve, weight) for curve in self.curves]

    def _title(self, width: int) -> Strip:
        name_style = self.colour("primary" if self.has_focus else "foreground", bold=True)
        muted = self.colour("muted")
        pieces: list[Piece] = [(("▸ " if self.has_focus else "  ") + self.metric.title, name_style)]
        pieces += self._readings(width - length(pieces) - 2)
        smooth = self.view.smoothing > 0 and not all(curve.exact for curve in self.curves)
        notes = [note for note, on in (("log", self.view.log), ("smooth", smooth)) if on]
        used = length(pieces)
        note = " ".join(notes)
        if notes and used + len(note) + 2 <= width:
            pieces.append((" " * (width - used - len(note) - 1) + note, muted))
        return line(*pieces)

    def _readings(self, room: int) -> list[Piece]:
        """The values at the inspected step, or the newest ones.

        As many as fit. Where there is room for one alone, without names, first of curves that nothing else tells apart.
        """
        marked = [bool(self._mark(curve)) for curve in self.curves]
        variants = [self._fitting(named, room) for named in ([True] * len(marked), marked, [False] * len(marked))]
        pieces = [piece for reading in max(variants, key=lambda fitting: min(2, len(fitting))) for piece in reading]
        at = self.view.inspect
        step = f"  at {count(int(at))}" if at is not None else ""
        if step and self.has_focus and pieces and length(pieces) + len(step) <= room:
            pieces.append((step, self.colour("muted")))
        return pieces

    def _fitting(self, named: Sequence[bool], room: int) -> list[list[Piece]]:
        """The readings of the first curves, as many as fit."""
        readings: list[list[Piece]] = []
        for curve, name in zip(self.curves, named):
            reading = self._reading(curve, named=name)
            room -= length(reading)
            if room < 0:
                break
            readings.append(reading)
        return readings

    def _reading(self, curve: Curve, *, named: bool) -> list[Piece]:
        at = self.view.inspect
        point = curve.at(at if at is not None else float("inf"))
        if point is None:
            return []
        step, value = point
        style, muted = self.colour(curve.role, bold=True), self.colour("muted")
        pieces: list[Piece] = [("  ", style)]
        if mark := self._mark(curve):
            pieces.append((mark + " ", style))
        if named and curve.label:
            pieces.append((shorten(curve.label, 22) + " ", muted))
        pieces.append((self.metric.show(value), style))
        if at is not None and step != at and curve.style is Style.POINTS:
            pieces.append((f" at {count(step)}", muted))
        return pieces

    def _mark(self, curve: Curve) -> str:
        """What tells the curve apart in the chart; "" for the only line."""
        if curve.style is Style.POINTS and not curve.letter:
            return ASCII_POINT if self.view.ascii else POINT
        return curve.letter


_AXES = {"label", "axis", "inspect"}


def _scaled(curve: Curve, scale: float) -> Curve:
    return replace(curve, values=[scale * value for value in curve.values])


def _average(curve: Curve, weight: float) -> Curve:
    steps, values = curve.steps, curve.values
    stretch = -(-len(steps) // _SMOOTHED_POINTS)
    if stretch > 1:
        starts = range(0, len(steps), stretch)
        values = [sum(values[start : start + stretch]) / len(values[start : start + stretch]) for start in starts]
        steps = [steps[min(start + stretch, len(steps)) - 1] for start in starts]
    return replace(curve, steps=steps, values=smoothed(values, weight))
