"""How the charts of a screen are shown: zoom, inspected step, smoothing, log axis, sites."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from saetui.tui.curves import View

SMOOTHINGS = (0.0, 0.8, 0.97)
_NARROWEST = 10.0
"""Steps of the nearest zoom."""
_MOVES = 4
"""A zoomed view that follows the newest step moves by this part of its width: each move redraws the whole chart."""


@dataclass
class ChartOptions:
    """Shared by all charts of a screen.

    Attributes:
        smoothing: which one of `SMOOTHINGS`.
        zoom: the share of all steps that is shown.
        centre: the step in the middle of a zoomed view; None: it follows the newest step.
        inspect: the logged step whose values are read.
    """

    log: bool = False
    smoothing: int = 0
    each_site: bool = False
    zoom: float = 1.0
    centre: float | None = None
    inspect: float | None = None

    def view(self, newest: int, end: float, *, ascii: bool) -> View:
        """The view of a job.

        Args:
            newest: its newest logged step.
            end: the last step that is shown where nothing is zoomed.
            ascii: ASCII letters instead of braille dots.
        """
        span = min(end, max(end * self.zoom, _NARROWEST))
        if self.centre is not None:
            last = min(max(self.centre + span / 2, span), end)
        else:
            move = span / _MOVES
            last = max(span, min(end, math.ceil(newest / move) * move))
        if span == end:
            last = end
        return View(
            last - span, last, whole=span == end, log=self.log, smoothing=SMOOTHINGS[self.smoothing], ascii=ascii,
            inspect=self.inspect,
        )  # fmt: skip

    def zoom_by(self, factor: float, end: float) -> None:
        """Show this share of the steps that are shown now, around the inspected one if there is one."""
        self.zoom = min(1.0, max(_NARROWEST / end, self.zoom * factor))
        if self.zoom == 1.0:
            self.centre = None
        elif self.inspect is not None:
            self.centre = self.inspect

    def inspect_next(self, steps: Sequence[int], direction: int, view: View, columns: int) -> None:
        """Inspect the first of the logged steps that is a column further, or else the next one; at first, the newest."""
        if self.inspect is None:
            place = bisect_right(steps, view.last) - 1
        else:
            target = self.inspect + direction * (view.last - view.first) / columns
            place = bisect_left(steps, target) if direction > 0 else bisect_right(steps, target) - 1
        self.inspect = float(steps[min(max(place, 0), len(steps) - 1)])
        if not view.first <= self.inspect <= view.last:
            self.centre = self.inspect

    def leave(self) -> bool:
        """End the inspection, or else the zoom. Returns False where there was neither."""
        if self.inspect is not None:
            self.inspect = None
        elif self.zoom < 1.0:
            self.zoom, self.centre = 1.0, None
        else:
            return False
        return True

    def forget_place(self) -> None:
        """Another job is shown: all of its steps, and none inspected."""
        self.inspect = self.centre = None
        self.zoom = 1.0
