"""The history of a job, read as it grows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from saetui.rundir.layout import RunDirectory
from saetui.tui.curves import Style
from saetui.tui.history import History, short_site
from saetui.tui.metrics import METRICS
from tests.tui.runs import RunMaker, make_job

BY_COLUMN = {metric.column: metric for metric in METRICS}
LOSS, FVU, L0, RATE, SPEED, RECOVERED = (
    BY_COLUMN[column] for column in ("loss", "fvu", "l0", "learning_rate", "tokens_per_second", "ce_recovered")
)


def history_of(maker: RunMaker) -> History:
    return History(maker.job.id, maker.run, maker.job.sites)


def test_a_job_without_figures_is_empty(tmp_path: Path) -> None:
    history = History("job", RunDirectory(tmp_path / "nothing"), ("layer_2.resid_post",))
    assert not history.poll()
    assert history.empty
    assert history.curves(LOSS) == []


def test_curves_grow_as_the_job_writes(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1))
    history = history_of(maker)
    maker.train(100)
    assert history.poll()
    assert list(history.curves(LOSS)[0].steps) == list(range(10, 101, 10))
    maker.train(150)
    assert history.poll()
    assert history.curves(LOSS)[0].steps[-1] == history.last_step == 150
    assert not history.poll()


def test_several_sites_are_shown_as_their_mean_or_each(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1, layers=(1, 2, 3)))
    latest = maker.train(50)
    history = history_of(maker)
    history.poll()
    (mean,) = history.curves(L0)
    assert mean.label == "mean of 3"
    assert mean.values[-1] == pytest.approx(sum(figures["l0"] for figures in latest.values()) / 3)
    each = history.curves(L0, each_site=True)
    assert [curve.label for curve in each] == ["layer 1", "layer 2", "layer 3"]
    assert len({curve.role for curve in each}) == len({curve.letter for curve in each}) == 3


def test_held_out_values_are_exact_points_of_their_own(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1))
    maker.train(500)
    history = history_of(maker)
    history.poll()
    assert [curve.label for curve in history.curves(FVU)] == ["", "held-out"]
    assert list(history.curves(FVU)[1].steps) == [250, 500]
    assert history.curves(FVU)[1].style is Style.POINTS
    assert history.curves(FVU)[1].exact and not history.curves(FVU)[0].exact
    assert history.curves(RATE)[0].exact
    assert [curve.label for curve in history.curves(L0)] == ["", "held-out"]
    assert list(history.curves(L0)[1].values) == [32.0, 32.0]


def test_what_is_only_measured_on_held_out_text_is_exact_points_too(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1, layers=(1, 2)))
    history = history_of(maker)
    maker.train(240)
    history.poll()
    assert RECOVERED not in history.recorded
    maker.train(500)
    history.poll()
    assert RECOVERED in history.recorded
    (mean,) = history.curves(RECOVERED)
    assert (list(mean.steps), mean.label) == ([250, 500], "mean of 2")
    assert mean.exact and mean.style is Style.POINTS
    assert [curve.letter for curve in history.curves(RECOVERED, each_site=True)] == ["a", "b"]


def test_only_metrics_with_values_are_recorded(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1))
    maker.train(30)
    history = history_of(maker)
    history.poll()
    assert {metric.column for metric in history.recorded} == {
        "loss", "fvu", "l0", "dead_fraction", "grad_norm", "learning_rate", "tokens_per_second", "recon_loss",
    }  # fmt: skip


def test_speed_belongs_to_the_whole_job(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1, layers=(1, 2)))
    maker.train(30)
    history = history_of(maker)
    history.poll()
    assert len(history.curves(SPEED)) == 1


def test_events_are_kept_in_order(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1))
    history = history_of(maker)
    maker.event("phase", "Loading the model.")
    history.poll()
    maker.event("started", "Training begins.")
    history.poll()
    assert [event.kind for event in history.events] == ["phase", "started"]


def test_a_file_that_is_no_metric_log_is_said_not_raised(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1))
    maker.run.training_metrics.write_bytes(b"not a log\n")
    history = history_of(maker)
    assert history.poll()
    assert "training.rows" in history.trouble


def test_sites_are_named_by_what_tells_them_apart() -> None:
    assert short_site("layer_2.resid_post", ["layer_1.resid_post", "layer_2.resid_post"]) == "layer 2"
    assert short_site("layer_2.mlp_out", ["layer_2.resid_post", "layer_2.mlp_out"]) == "mlp_out"
    assert short_site("layer_2.mlp_out", ["layer_1.resid_post", "layer_2.mlp_out"]) == "2.mlp_out"


def test_two_threads_that_poll_at_once_read_nothing_twice(tmp_path: Path) -> None:
    maker = RunMaker(tmp_path, make_job(tmp_path, 1, num_steps=20_000))
    maker.train(20_000)
    history = history_of(maker)
    threads = [threading.Thread(target=history.poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(history.curves(LOSS)[0].steps) == list(range(10, 20_001, 10))
