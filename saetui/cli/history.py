"""A job's history from its three metric logs: one row for each step and site."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import EVALUATION_PREFIX
from saetui.rundir.stored_rows import StoredRows


@dataclass(frozen=True)
class Row:
    """The figures of one site at one step; those that do not exist are missing in `values`."""

    step: int
    site: str
    values: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """Rows by step, then in the order of the job's sites; the columns in the order of their logs."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


class StoredHistory:
    """The merged logs of a job; figures of the whole job (speed, memory) appear with each of its sites.

    Attributes:
        columns: in the order of their logs.
    """

    def __init__(self, run: RunDirectory, sites: Sequence[str]) -> None:
        """
        Args:
            run: the job's directory; logs that do not exist yet are empty.
            sites: the names of the job's sites, in their order.

        Raises:
            FormatError: a log is not a metric log.
        """
        self._sites = tuple(sites)
        paths = ((run.training_metrics, ""), (run.job_metrics, ""), (run.evaluation_metrics, EVALUATION_PREFIX))
        self._logs = [(StoredRows(path), prefix) for path, prefix in paths]
        self.columns = tuple(dict.fromkeys(prefix + column for log, prefix in self._logs for column in log.columns))

    def rows(self) -> Iterator[Row]:
        """The rows, each made when it is asked for: in the order of steps, then of sites."""
        # Where steps are equal, merge takes the logs in their order.
        merged = heapq.merge(*(self._steps(log, prefix) for log, prefix in self._logs), key=itemgetter(0))
        for step, parts in itertools.groupby(merged, key=itemgetter(0)):
            figures: dict[str, dict[str, float]] = {}
            for _, site, values in parts:
                for of in (site,) if site in self._sites else self._sites:
                    figures.setdefault(of, {}).update(values)
            yield from (Row(step, site, figures[site]) for site in self._sites if site in figures)

    def whole(self) -> History:
        """All of it in memory."""
        return History(self.columns, tuple(self.rows()))

    @staticmethod
    def _steps(log: StoredRows, prefix: str) -> Iterator[tuple[int, str, dict[str, float]]]:
        if not prefix:
            return iter(log)
        return ((step, site, {prefix + name: value for name, value in values.items()}) for step, site, values in log)


def thin(history: History, points: int) -> History:
    """At most so many of the rows for each site.

    The last row stays, and the smallest and largest value of every column as long as they fit. Evaluations, which are rare,
    are kept before the rest; the remaining rows show the smallest and largest loss of each stretch.

    Args:
        history: all rows.
        points: rows for each site, at least 1.
    """
    kept: list[Row] = []
    for site in dict.fromkeys(row.site for row in history.rows):
        rows = [row for row in history.rows if row.site == site]
        kept.extend(rows[index] for index in _chosen(rows, history.columns, points))
    place = {id(row): number for number, row in enumerate(history.rows)}
    return History(history.columns, tuple(sorted(kept, key=lambda row: place[id(row)])))


def _chosen(rows: Sequence[Row], columns: Sequence[str], points: int) -> set[int]:
    """The indices of the rows to keep."""
    everything = range(len(rows))
    if len(rows) <= points:
        return set(everything)
    chosen: dict[int, None] = {len(rows) - 1: None, 0: None}
    for column in columns:
        chosen.update(dict.fromkeys(_extremes(rows, everything, column)))
    evaluated = [index for index in everything if any(key.startswith(EVALUATION_PREFIX) for key in rows[index].values)]
    # Each kind of row takes at most half of what is left, so that the next kind has its share.
    kept = set(list(chosen)[: max(1, points // 2)])
    others = [index for index in evaluated if index not in kept]
    kept |= _spread(rows, others, EVALUATION_PREFIX + "fvu", (points - len(kept)) // 2)
    rest = [index for index in everything if index not in kept]
    return kept | _spread(rows, rest, "loss", points - len(kept))


def _spread(rows: Sequence[Row], indices: Sequence[int], column: str, points: int) -> set[int]:
    """At most so many of the indices: the extremes of a column in each of equal stretches."""
    if len(indices) <= points:
        return set(indices)
    kept: set[int] = set()
    stretches = points // 2
    for number in range(stretches):
        stretch = indices[number * len(indices) // stretches : (number + 1) * len(indices) // stretches]
        kept.update(_extremes(rows, stretch, column) or stretch[:1])
    return kept


def _extremes(rows: Sequence[Row], indices: Sequence[int], column: str) -> list[int]:
    """Where a column is smallest and largest."""
    finite = [index for index in indices if math.isfinite(rows[index].values.get(column, math.nan))]
    if not finite:
        return []
    return [
        min(finite, key=lambda index: rows[index].values[column]),
        max(finite, key=lambda index: rows[index].values[column]),
    ]
