"""A job's history from its three metric logs: one row for each step and site."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import EVALUATION_PREFIX, MetricReader


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


def read_history(run: RunDirectory, sites: Sequence[str]) -> History:
    """Merge the logs; figures of the whole job (speed, memory) appear with each of its sites.

    Args:
        run: the job's directory; logs that do not exist yet are empty.
        sites: the names of the job's sites, in their order.

    Raises:
        FormatError: a log is not a metric log.
    """
    rows: dict[tuple[int, str], Row] = {}
    columns: dict[str, None] = {}
    logs = ((run.training_metrics, ""), (run.job_metrics, ""), (run.evaluation_metrics, EVALUATION_PREFIX))
    for path, prefix in logs:
        log = MetricReader(path)
        log.poll()
        columns.update(dict.fromkeys(prefix + column for column in log.columns))
        for step, site, values in log.rows():
            for of in (site,) if site in sites else sites:
                row = rows.setdefault((step, of), Row(step, of))
                row.values.update({prefix + column: value for column, value in values.items()})
    order = {site: number for number, site in enumerate(sites)}
    return History(tuple(columns), tuple(sorted(rows.values(), key=lambda row: (row.step, order[row.site]))))


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
