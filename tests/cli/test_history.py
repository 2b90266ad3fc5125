"""A history merges three logs, and thinning it hides no extreme."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import pytest

from saetui.cli.history import History, Row, StoredHistory, thin
from saetui.errors import FormatError
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter

SITES = ("layer_1.resid_post", "layer_2.resid_post")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.create({"model": "bundled:tiny"})
    return directory


def test_a_row_has_the_figures_of_training_evaluation_and_job(run: RunDirectory) -> None:
    training = MetricWriter(run.training_metrics, SITES, ("loss", "l0"))
    evaluation = MetricWriter(run.evaluation_metrics, SITES, ("fvu",))
    job = MetricWriter(run.job_metrics, ("job",), ("tokens_per_second",))
    for site in SITES:
        training.append(10, site, {"loss": 1.5, "l0": 32.0})
    evaluation.append(10, SITES[1], {"fvu": 0.25})
    job.append(10, "job", {"tokens_per_second": 5000.0})

    history = StoredHistory(run, SITES).whole()

    assert history.columns == ("loss", "l0", "tokens_per_second", "eval_fvu")
    assert history.rows == (
        Row(10, SITES[0], {"loss": 1.5, "l0": 32.0, "tokens_per_second": 5000.0}),
        Row(10, SITES[1], {"loss": 1.5, "l0": 32.0, "tokens_per_second": 5000.0, "eval_fvu": 0.25}),
    )


def test_steps_of_three_logs_are_merged_in_their_order(run: RunDirectory) -> None:
    training = MetricWriter(run.training_metrics, SITES, ("loss",))
    evaluation = MetricWriter(run.evaluation_metrics, SITES, ("fvu",))
    job = MetricWriter(run.job_metrics, ("job",), ("memory_bytes",))
    for step in (10, 20, 30):
        for site in reversed(SITES):
            training.append(step, site, {"loss": float(step)})
    evaluation.append(25, SITES[0], {"fvu": 0.5})
    job.append(20, "job", {"memory_bytes": 7.0})
    rows = list(StoredHistory(run, SITES).rows())
    assert [(row.step, row.site) for row in rows] == [
        *((step, site) for step in (10, 20) for site in SITES), (25, SITES[0]), *((30, site) for site in SITES),
    ]  # fmt: skip
    assert rows[2].values == {"loss": 20.0, "memory_bytes": 7.0} and rows[4].values == {"eval_fvu": 0.5}


def test_a_long_history_is_never_whole_in_memory(run: RunDirectory) -> None:
    columns = [f"column_{number}" for number in range(20)]
    training = MetricWriter(run.training_metrics, SITES[:1], columns)
    for step in range(20_000):
        training.append(step, SITES[0], dict.fromkeys(columns, step / 7))
    tracemalloc.start()
    try:
        count = sum(1 for _ in StoredHistory(run, SITES[:1]).rows())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 4 << 20, "as dicts they are over 30 MB"


def test_a_job_that_has_not_begun_has_an_empty_history(run: RunDirectory) -> None:
    assert StoredHistory(run, SITES).whole() == History((), ())


def test_a_file_that_is_no_metric_log_is_named(run: RunDirectory) -> None:
    run.training_metrics.write_text("not a log\n")
    with pytest.raises(FormatError, match=r"training\.rows is not a metric log"):
        StoredHistory(run, SITES).whole()


def long_history() -> History:
    rows: list[Row] = []
    for step in range(10, 10_010, 10):
        values = {"loss": 1 + math.sin(step), "grad_norm": step % 700 / 700}
        if step == 3330:
            values["loss"] = 1e6
        if step == 7770:
            values["loss"] = -1e6
        if step == 5550:
            values["grad_norm"] = 99.0
        if step % 1000 == 0:
            values["eval_fvu"] = 1000 / step
        rows.extend(Row(step, site, dict(values)) for site in SITES)
    return History(("loss", "grad_norm", "eval_fvu"), tuple(rows))


@pytest.mark.parametrize("points", [1, 2, 3, 7, 50, 333, 999, 1000, 5000])
def test_thinning_keeps_at_most_so_many_real_rows_a_site_and_the_last(points: int) -> None:
    whole = long_history()
    thinned = thin(whole, points)
    assert set(map(id, thinned.rows)) <= set(map(id, whole.rows))
    assert list(thinned.rows) == sorted(thinned.rows, key=lambda row: (row.step, row.site))
    for site in SITES:
        rows = [row for row in thinned.rows if row.site == site]
        assert len(rows) <= points
        assert rows[-1].step == 10_000
    if points >= 1000:
        assert thinned == whole


def test_thinning_keeps_the_extremes_of_every_column_and_every_evaluation() -> None:
    thinned = thin(long_history(), 50)
    for site in SITES:
        rows = {row.step: row for row in thinned.rows if row.site == site}
        assert {3330, 7770, 5550} <= rows.keys()
        assert sum("eval_fvu" in row.values for row in rows.values()) == 10


def test_thinning_uses_its_room() -> None:
    rows = [row for row in thin(long_history(), 100).rows if row.site == SITES[0]]
    assert len(rows) >= 80


def test_thinning_survives_figures_that_are_not_finite() -> None:
    rows = tuple(Row(step, SITES[0], {"loss": math.nan if step % 2 else math.inf}) for step in range(100))
    assert 1 <= len(thin(History(("loss",), rows), 10).rows) <= 10
