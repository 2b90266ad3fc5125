"""Which charts a job has, and in which order."""

from __future__ import annotations

from saetui.jobs.preferences import CHARTS
from saetui.training.recorder import EVALUATION_COLUMNS, JOB_COLUMNS, TRAINING_COLUMNS
from saetui.tui.metrics import METRICS, Log, columns_of, in_order


def test_every_chart_can_be_chosen_in_the_preferences() -> None:
    assert tuple(metric.column for metric in METRICS) == CHARTS


def test_every_metric_is_one_that_the_trainer_records() -> None:
    recorded = {Log.TRAINING: TRAINING_COLUMNS, Log.HELD_OUT: EVALUATION_COLUMNS, Log.JOB: JOB_COLUMNS}
    for log, columns in recorded.items():
        assert set(columns_of(log)) <= set(columns)


def test_chosen_charts_come_first_and_the_others_after_them() -> None:
    ordered = in_order(METRICS, ("memory_bytes", "l0", "unknown"), "standard")
    assert [metric.column for metric in ordered[:3]] == ["memory_bytes", "l0", "loss"]
    assert set(ordered) == set(METRICS)


def test_a_flat_l0_comes_last_unless_it_was_chosen() -> None:
    assert in_order(METRICS, (), "topk")[-1].column == "l0"
    assert in_order(METRICS, ("l0",), "topk")[0].column == "l0"


def test_an_l0_that_comes_out_stands_among_the_first_four() -> None:
    for architecture in ("standard", "jumprelu", "gated", "transcoder"):
        assert "l0" in [metric.column for metric in in_order(METRICS, (), architecture)[:4]]
