"""Series for charts: bounded however long the log, and no peak is lost."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.rundir.metrics import MetricWriter
from saetui.tui.traces import Trace, TraceReader


def traced(values: list[float], points: int, piece: int) -> tuple[list[int], list[float]]:
    trace = Trace(points)
    for start in range(0, len(values), piece):
        part = values[start : start + piece]
        trace.extend(range(start, start + len(part)), part)
    steps, kept = trace.series()
    return list(steps), list(kept)


@given(st.lists(st.floats(-1e6, 1e6), max_size=300), st.sampled_from([16, 32]), st.integers(1, 60))
def test_a_trace_has_real_points_in_order_the_extremes_and_the_bound(
    values: list[float], points: int, piece: int
) -> None:
    steps, kept = traced(values, points, piece)
    assert steps == sorted(set(steps))
    assert all(values[step] == value for step, value in zip(steps, kept))
    assert len(steps) <= points
    assert max(kept, default=0) == max(values, default=0) and min(kept, default=0) == min(values, default=0)


def test_a_short_series_is_kept_as_it_is() -> None:
    values = [math.nan, 1.0, math.inf, -1.0]
    steps, kept = traced(values, 16, 2)
    assert steps == [0, 1, 2, 3] and math.isnan(kept[0]) and kept[1:] == values[1:]


def test_gaps_stay_gaps_and_do_not_hide_their_neighbours() -> None:
    values = [float(step % 7) for step in range(400)] + [math.nan] * 400 + [9.0] * 200
    steps, kept = traced(values, 64, 50)
    middle = [value for step, value in zip(steps, kept) if 420 <= step < 780]
    assert middle and all(math.isnan(value) for value in middle)
    assert {value for value in kept if math.isfinite(value)} >= {0.0, 6.0, 9.0}


def test_a_long_series_stays_evenly_fine() -> None:
    chance = random.Random(0)
    steps, _ = traced([chance.random() for _ in range(20_000)], 256, 999)
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert max(gaps) < 4 * 20_000 / len(steps) * 2


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_the_mean_over_sites_is_of_the_same_steps_however_the_rows_come(tmp_path: Path, piece: int) -> None:
    path, sites = tmp_path / "rows", ("a", "b", "c")
    writer = MetricWriter(path, sites, ("fvu",))
    reader = TraceReader(path, ("fvu", "other"))
    written = 0
    for step in range(10, 200, 10):
        for number, site in enumerate(sites):
            if (step, site) != (50, "b"):
                writer.append(step, site, {"fvu": step + number})
            written += 1
            if written % piece == 0:
                reader.poll()
    reader.poll()
    steps, values = reader.mean("fvu")
    assert list(steps) == [step for step in range(10, 200, 10) if step != 50]
    assert list(values) == [step + 1.0 for step in steps]
    assert list(reader.series("b", "fvu")[0]) == list(steps)
    assert reader.newest["c"] == (190, {"fvu": 192.0})
    assert reader.series("a", "other") == reader.mean("other") == ((), ())
