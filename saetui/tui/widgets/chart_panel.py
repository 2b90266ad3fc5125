"""One chart with its title: name, newest values, or those at the inspected step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.strip import Strip

from saetui.display.figures import count, number, percent
from saetui.display.text import shorten
from saetui.tui.axes import Axis
from saetui.tui.charts import ASCII_POINT, POINT, Chart, draw_chart
from saetui.tui.curves import Curve, Style, View, smoothed
from saetui.tui.history import Metric
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line

_SMOOTHED_POINTS = 2000
"""A longer curve is thinned to this many means before it is smoothed: no chart is wider."""


class ChartPanel(LineCanvas):
    """Draws one metric."""

    def __init__(self, metric: Metric, *, focusable: bool = False) -> None:
        super().__init__(id=f"chart-{metric.column}")
        self.can_focus = focusable
        self.metric = metric
        self.curves: Sequence[Curve] = ()
        self.view = View(0, 1)
        self._axis: Axis | None = None
        self._drawn: tuple[object, Chart] | None = None

    def show(self, curves: Sequence[Curve], view: View) -> None:
        """Draw these curves; unchanged cells are not sent."""
        if view.log != self.view.log:
            self._axis = None
        self.curves = curves
        self.view = replace(view, log=view.log and self.metric.log_scale, zero=self.metric.zero)
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
        key = (newest, self.view, width, height)
        if self._drawn is None or self._drawn[0] != key:
            curves = self._smooth() if self.view.smoothing else self.curves
            if self.metric.share:
                curves = [_as_percentages(curve) for curve in curves]
            unit = "%" if self.metric.share else ""
            chart = draw_chart(curves, self.view, width, height, self._axis, unit=unit)
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
        """The values at the inspected step, or the newest ones, as many as fit."""
        inspect = self.view.inspect
        pieces: list[Piece] = []
        for curve in self.curves:
            point = curve.at(inspect if inspect is not None else float("inf"))
            if point is None:
                continue
            step, value = point
            style = self.colour(curve.role, bold=True)
            reading: list[Piece] = [("  ", style)]
            if mark := self._mark(curve):
                reading.append((mark + " ", style))
            if curve.label:
                reading.append((shorten(curve.label, 22) + " ", self.colour("muted")))
            reading.append((percent(value, 2) if self.metric.share else number(value), style))
            if inspect is not None and step != inspect and curve.style is Style.POINTS:
                reading.append((f" at {count(step)}", self.colour("muted")))
            if length(pieces) + length(reading) > room:
                break
            pieces += reading
        if inspect is not None and self.has_focus and pieces:
            pieces.append((f"  at {count(int(inspect))}", self.colour("muted")))
        return pieces

    def _mark(self, curve: Curve) -> str:
        """What tells the curve apart in the chart; "" for the only line."""
        if curve.style is Style.POINTS:
            return ASCII_POINT if self.view.ascii else POINT
        return curve.letter


_AXES = {"label", "axis", "inspect"}


def _as_percentages(curve: Curve) -> Curve:
    return replace(curve, values=[100 * value for value in curve.values])


def _average(curve: Curve, weight: float) -> Curve:
    steps, values = curve.steps, curve.values
    stretch = -(-len(steps) // _SMOOTHED_POINTS)
    if stretch > 1:
        starts = range(0, len(steps), stretch)
        values = [sum(values[start : start + stretch]) / len(values[start : start + stretch]) for start in starts]
        steps = [steps[min(start + stretch, len(steps)) - 1] for start in starts]
    return replace(curve, steps=steps, values=smoothed(values, weight))
