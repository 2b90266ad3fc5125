from __future__ import annotations

import math
from pathlib import Path

import pytest

from saetui.display.figures import percent
from saetui.jobs.job import Status
from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter, NewestRows
from saetui.supervisor.progress import Progress
from tests.supervisor.test_outcome import job

COLUMNS = ["tokens", "seconds", "num_steps", "tokens_per_second"]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    run = RunDirectory(tmp_path)
    run.metrics.mkdir()
    return run


def begin(run: RunDirectory, step: int = 0) -> None:
    """What a trainer says once its logs are open."""
    EventLog(run.events).append("started", "", step=step)


def test_nothing_is_known_of_a_job_that_has_written_nothing(run: RunDirectory) -> None:
    assert Progress(run).read(job(Status.STARTING)) == job(Status.STARTING)


def test_speed_and_time_left_follow_the_last_half_minute(run: RunDirectory) -> None:
    begin(run)
    progress = Progress(run)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    for step, seconds in ((10, 100.0), (20, 200.0), (30, 210.0), (50, 220.0)):
        log.append(step, "job", {"tokens": step * 100.0, "seconds": seconds, "num_steps": 150.0})
        seen = progress.read(job(Status.RUNNING))
    assert seen.step == 50 and seen.num_steps == 150 and seen.progress == pytest.approx(1 / 3)
    assert seen.tokens_per_second == pytest.approx((50 - 20) * 100 / 20)
    assert seen.eta_seconds == pytest.approx(100 * 20 / 30)


def test_the_first_look_takes_the_trainers_own_word(run: RunDirectory) -> None:
    begin(run)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    log.append(10, "job", {"tokens": 1000.0, "seconds": 5.0, "num_steps": 20.0, "tokens_per_second": 125.0})
    seen = Progress(run).read(job(Status.RUNNING))
    assert seen.tokens_per_second == 125.0 and seen.eta_seconds == pytest.approx(10 * 100 / 125)


def test_values_that_are_not_finite_do_not_show(run: RunDirectory) -> None:
    begin(run)
    log = MetricWriter(run.training_metrics, ["layer_1.resid_post"], ["loss", "fvu", "l0"])
    log.append(3, "layer_1.resid_post", {"loss": math.nan, "fvu": math.inf, "l0": 32.0})
    assert Progress(run).read(job(Status.RUNNING)).metrics == {"layer_1.resid_post": {"l0": 32.0}}


def test_a_log_that_is_damaged_does_not_hide_the_others(run: RunDirectory) -> None:
    begin(run)
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


def test_what_earlier_attempts_left_is_not_shown_as_progress_of_this_one(run: RunDirectory) -> None:
    begin(run)
    events = EventLog(run.events)
    events.append("ended", "", step=40, data={"outcome": "failed"})
    MetricWriter(run.job_metrics, ["job"], COLUMNS).append(40, "job", {"num_steps": 100.0})
    progress = Progress(run, run.events.stat().st_size)
    waiting = progress.read(job(Status.STARTING))
    assert waiting == job(Status.STARTING) and progress.ended is None and not progress.started
    MetricWriter(run.job_metrics, ["job"], COLUMNS, keep_through=30)
    begin(run, step=30)
    assert progress.read(job(Status.STARTING)).step == 30


def test_a_pause_is_seen_and_its_time_is_not_counted_as_training(run: RunDirectory) -> None:
    progress, events = Progress(run), EventLog(run.events)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    begin(run)
    log.append(10, "job", {"tokens": 1000.0, "seconds": 10.0})
    events.append("paused", "", step=10, data={"step": 10, "released": False})
    progress.read(job(Status.RUNNING))
    assert progress.paused
    events.append("resumed", "", step=10)
    progress.read(job(Status.PAUSED))
    for step, seconds in ((11, 500.0), (21, 510.0)):
        log.append(step, "job", {"tokens": step * 100.0, "seconds": seconds})
        seen = progress.read(job(Status.RUNNING))
    assert not progress.paused and seen.tokens_per_second == pytest.approx(100)


def test_what_the_training_does_without_is_known_until_it_has_it_again(run: RunDirectory) -> None:
    progress, events = Progress(run), EventLog(run.events)
    begin(run)
    events.append("degraded", "No space left on device: the training goes on without saving", step=4)
    seen = progress.read(job(Status.RUNNING))
    assert seen.degraded is not None and "No space" in seen.degraded
    events.append("recovered", "", step=5)
    assert progress.read(seen).degraded is None


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


def test_of_a_long_log_only_the_end_is_read(run: RunDirectory) -> None:
    log = MetricWriter(run.training_metrics, ["a", "b"], ["loss"])
    for step in range(1, 6001):
        log.append(step, "a" if step % 2 else "b", {"loss": float(step)})
    reader = NewestRows(run.training_metrics)
    assert reader.poll() == 4096
    assert reader.latest("a") == (5999, {"loss": 5999.0}) and reader.latest("b") == (6000, {"loss": 6000.0})


def test_a_phase_is_shown_until_what_it_led_to(run: RunDirectory) -> None:
    progress, events = Progress(run), EventLog(run.events)
    events.append("phase", "Tokenising text: 50%", data={"name": "tokens"})
    waiting = progress.read(job(Status.STARTING))
    assert waiting.phase == "Tokenising text: 50%" and waiting.activity == "tokenising"
    begin(run)
    assert progress.read(waiting).phase is None
    events.append("phase", "Evaluating step 4 on held-out text", step=4)
    assert progress.read(job(Status.RUNNING)).activity == "evaluating"
    events.append("evaluation", "Held-out", step=4)
    assert progress.read(job(Status.RUNNING)).phase is None


def test_a_job_is_whole_only_when_it_has_said_so(run: RunDirectory) -> None:
    progress, events = Progress(run), EventLog(run.events)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    begin(run)
    for step in (10, 20):
        log.append(step, "job", {"tokens": step * 10.0, "seconds": float(step), "num_steps": 20.0})
        seen = progress.read(job(Status.RUNNING))
    assert seen.step == 20 and percent(seen.progress) == "99%" and seen.eta_seconds is None
    events.append("ended", "", step=20, data={"outcome": "completed"})
    assert progress.read(seen).progress == 1.0


def test_a_phase_that_was_cut_short_ends_with_the_next_steps(run: RunDirectory) -> None:
    progress, events = Progress(run), EventLog(run.events)
    log = MetricWriter(run.job_metrics, ["job"], COLUMNS)
    begin(run)
    log.append(10, "job", {"tokens": 100.0, "seconds": 1.0, "num_steps": 40.0})
    events.append("phase", "Evaluating step 10 on held-out text", step=10)
    assert progress.read(job(Status.RUNNING)).phase is not None
    log.append(11, "job", {"tokens": 110.0, "seconds": 1.1, "num_steps": 40.0})
    assert progress.read(job(Status.RUNNING)).phase is None
