from __future__ import annotations

import math
from pathlib import Path

import pytest

from saetui.jobs.job import Status
from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter
from saetui.supervisor.progress import NewestRows, Progress
from tests.supervisor.test_outcome import job

COLUMNS = ["tokens", "seconds", "num_steps", "tokens_per_second"]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path)
    run.metrics.mkdir()
    return run


def test_nothing_is_known_of_a_job_that_has_written_nothing(run: RunDirectory) -> None:
    assert Progress(run).read(job(Status.STARTING)) == job(Status.STARTING)


def test_speed_and_time_left_follow_the_last_half_minute(run: RunDirectory) -> None:
    progress = Progress(run)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    for step, seconds in ((10, 100.0), (20, 200.0), (30, 210.0), (50, 220.0)):
        log.append(step, "job", {"tokens": step * 100.0, "seconds": seconds, "num_steps": 150.0})
        seen = progress.read(job(Status.RUNNING))
    assert seen.step == 50 and seen.num_steps == 150 and seen.progress == pytest.approx(1 / 3)
    assert seen.tokens_per_second == pytest.approx((50 - 20) * 100 / 20)
    assert seen.eta_seconds == pytest.approx(100 * 20 / 30)


def test_the_first_look_takes_the_trainers_own_word(run: RunDirectory) -> None:
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    log.append(10, "job", {"tokens": 1000.0, "seconds": 5.0, "num_steps": 20.0, "tokens_per_second": 125.0})
    seen = Progress(run).read(job(Status.RUNNING))
    assert seen.tokens_per_second == 125.0 and seen.eta_seconds == pytest.approx(10 * 100 / 125)


def test_values_that_are_not_finite_do_not_show(run: RunDirectory) -> None:
    log = MetricWriter(run.training_metrics, ["layer_1.resid_post"], ["loss", "fvu", "l0"])
    log.append(3, "layer_1.resid_post", {"loss": math.nan, "fvu": math.inf, "l0": 32.0})
    assert Progress(run).read(job(Status.RUNNING)).metrics == {"layer_1.resid_post": {"l0": 32.0}}


def test_a_log_that_is_damaged_does_not_hide_the_others(run: RunDirectory) -> None:
    run.training_metrics.write_bytes(b"what is this\n")
    MetricWriter(run.evaluation_metrics, ["a"], ["fvu"]).append(4, "a", {"fvu": 0.5})
    assert Progress(run).read(job(Status.RUNNING)).metrics == {"a": {"eval_fvu": 0.5}}


def test_a_last_word_counts_until_the_job_starts_again(run: RunDirectory) -> None:
    progress = Progress(run)
    events = EventLog(run.events)
    events.append("ended", "", step=7, data={"outcome": "stopped"})
    assert progress.read(job(Status.RUNNING)).step == 7
    assert progress.ended is not None
    events.append("started", "", data={"num_steps": 10})
    progress.read(job(Status.RUNNING))
    assert progress.ended is None and progress.started


def test_the_newest_rows_are_known_and_the_history_is_not_kept(run: RunDirectory) -> None:
    log = MetricWriter(run.training_metrics, ["a", "b"], ["loss"])
    reader = NewestRows(run.training_metrics)
    for step in range(1, 1001):
        log.append(step, "a", {"loss": float(step)})
        if step % 100 == 0:
            assert reader.poll() == 100
    log.append(1, "b", {"loss": 0.5})
    reader.poll()
    assert reader.latest("a") == (1000, {"loss": 1000.0}) and reader.latest("b") == (1, {"loss": 0.5})
    assert len(list(reader.rows())) == 2
