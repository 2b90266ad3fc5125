"""Series of a log for charts: of bounded length, however long the log, with every peak."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

from saetui.rundir.rows import Block, Header, RowFollower, SiteRows

POINTS = 8192
"""The most points of a series: a dozen for each column of a wide terminal, so that zooming in still finds some."""

_POINTS_OF_SITES, _FEWEST_POINTS = 8 * POINTS, 1024
"""The most points of a column in all sites together: 1 MiB, so that the charts of many sites stay in little memory."""

Series = tuple[Sequence[int], Sequence[float]]
"""Steps, which grow, and values."""

_Point = tuple[int, float]


class Trace:
    """One series. A long one is divided into stretches, each kept as its smallest and largest value at their own steps."""

    def __init__(self, points: int = POINTS, expected: int = 0) -> None:
        """`expected`: so many points will come, possibly more."""
        self._limit = points - 3
        self._stretch = 1
        while 2 * expected >= self._limit * self._stretch and expected >= self._limit:
            self._stretch = max(4, 2 * self._stretch)
        self._steps: array[int] = array("Q")
        self._values: array[float] = array("d")
        self._open: list[_Point] = []
        self._in_open = 0
        self._last: _Point | None = None

    def extend(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Append points; `steps` grow."""
        start, end = 0, len(steps)
        while start < end:
            if self._stretch == 1:
                stop = min(end, start + self._limit - len(self._steps))
                self._steps.extend(steps[start:stop])
                self._values.extend(values[start:stop])
            else:
                stop = min(end, start + self._stretch - self._in_open)
                self._widen(steps[start:stop], values[start:stop])
            start = stop
            if len(self._steps) >= self._limit:
                self._halve()
        if end:
            self._last = steps[-1], values[-1]

    def series(self) -> Series:
        """The points now, with the last one; they do not change with the trace."""
        steps, values = self._steps[:], self._values[:]
        newest = [*self._open, *([self._last] if self._last else [])]
        for step, value in newest:
            if not steps or step > steps[-1]:
                steps.append(step)
                values.append(value)
        return steps, values

    def _widen(self, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add points to the stretch that is not full yet."""
        widened = self._open + [(steps[place], values[place]) for place in _extremes(values)]
        self._open = [widened[place] for place in _extremes([value for _, value in widened])]
        self._in_open += len(steps)
        if self._in_open == self._stretch:
            for step, value in self._open:
                self._steps.append(step)
                self._values.append(value)
            self._open, self._in_open = [], 0

    def _halve(self) -> None:
        """Merge each two stretches into one of two points."""
        kept: list[int] = []
        for start in range(0, len(self._steps), 4):
            kept.extend(start + place for place in _extremes(self._values[start : start + 4]))
        self._steps = array("Q", map(self._steps.__getitem__, kept))
        self._values = array("d", map(self._values.__getitem__, kept))
        self._stretch = max(4, 2 * self._stretch)


class TraceReader(RowFollower):
    """Follows a log and keeps a trace of each wanted column: of each site, and of the mean over all sites.

    Attributes:
        newest: for each site the step and the values of its newest row.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path)
        self._wanted = tuple(columns)
        self._indices: list[tuple[str, int]] = []
        self._traces: dict[tuple[str, str], Trace] = {}
        self._means: dict[str, _MeanTrace] = {}
        self._rows = 0
        self.newest: dict[str, tuple[int, dict[str, float]]] = {}

    def begin(self, header: Header) -> None:
        self._indices = [(name, header.columns.index(name)) for name in self._wanted if name in header.columns]
        expected = self._rows // len(header.sites)
        points = max(_FEWEST_POINTS, min(POINTS, _POINTS_OF_SITES // len(header.sites)))
        self._traces = {(site, name): Trace(points, expected) for site in header.sites for name, _ in self._indices}
        self._means = {name: _MeanTrace(len(header.sites), expected) for name, _ in self._indices}
        self.newest = {}

    def first_row(self, rows: int) -> int:
        self._rows = rows
        return 0

    def take(self, block: Block) -> None:
        for number, site in enumerate(self.sites):
            rows = block.of(number)
            if rows is None:
                continue
            self.newest[site] = (rows.steps[-1], rows.values(-1, self.columns))
            for name, index in self._indices:
                steps, values = _present(rows, index)
                self._traces[site, name].extend(steps, values)
                if len(self.sites) > 1:
                    self._means[name].add(number, steps, values)

    def series(self, site: str, column: str) -> Series:
        """One column of one site; empty if it does not exist."""
        trace = self._traces.get((site, column))
        return trace.series() if trace else ((), ())

    def mean(self, column: str) -> Series:
        """The mean over all sites, at the steps that all sites have; for a single site its own series."""
        if len(self.sites) == 1:
            return self.series(self.sites[0], column)
        means = self._means.get(column)
        return means.trace.series() if means else ((), ())


class _MeanTrace:
    """The mean of several series, which arrive in turns."""

    def __init__(self, sites: int, expected: int) -> None:
        self.trace = Trace(expected=expected)
        self._waiting: list[tuple[list[int], list[float]]] = [([], []) for _ in range(sites)]

    def add(self, site: int, steps: Sequence[int], values: Sequence[float]) -> None:
        """Add points of one site; steps that all sites have go into the mean."""
        self._waiting[site][0].extend(steps)
        self._waiting[site][1].extend(values)
        while shared := min(len(steps) for steps, _ in self._waiting):
            first = self._waiting[0][0][:shared]
            if any(steps[:shared] != first for steps, _ in self._waiting):
                shared = self._drop_unshared()
                if not shared:
                    continue
                first = self._waiting[0][0][:shared]
            columns = [values[:shared] for _, values in self._waiting]
            self.trace.extend(first, [math.fsum(row) / len(row) for row in zip(*columns)])
            self._drop(shared)

    def _drop_unshared(self) -> int:
        """Drop the steps before the first that all sites can have. Returns 1 if all have that one."""
        latest = max(steps[0] for steps, _ in self._waiting)
        for steps, values in self._waiting:
            late = sum(1 for step in steps if step < latest)
            del steps[:late], values[:late]
        return int(all(steps and steps[0] == latest for steps, _ in self._waiting))

    def _drop(self, count: int) -> None:
        for steps, values in self._waiting:
            del steps[:count], values[:count]


def _present(rows: SiteRows, column: int) -> tuple[Sequence[int], Sequence[float]]:
    """The points of a column where it is present."""
    bit, first = 1 << column, rows.present[0]
    if rows.present.tobytes() == rows.present[:1].tobytes() * len(rows.present):
        return (rows.steps, rows.columns[column]) if first & bit else ((), ())
    chosen = [mask & bit for mask in rows.present]
    return list(compress(rows.steps, chosen)), list(compress(rows.columns[column], chosen))


def _extremes(values: Sequence[float]) -> list[int]:
    """The indices of the smallest and the largest value, in order. Values that are not finite count only if all are so."""
    finite = values if math.isfinite(sum(values)) else [value for value in values if math.isfinite(value)]
    if not finite:
        return [0]
    return sorted({values.index(min(finite)), values.index(max(finite))})
