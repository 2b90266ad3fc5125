from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest

from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints, newest_sound
from saetui.rundir.events import read_events
from saetui.rundir.layout import RunDirectory
from tests.conditions import eventually
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import STEPS, history, results, rows, tiny_spec, tiny_text, undisturbed
from tests.training.zygote import Trainer

ROOM_FOR_LOGS_ONLY = 50_000
"""Bytes: above what the logs of these runs take, below the weights alone."""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tiny_text(tmp_path)


def limit_files(trainer: Trainer, size: int) -> None:
    """No file of the trainer may grow beyond so many bytes: a full disk that needs no rights."""
    _, hard = resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE, (size, hard))


def kinds(run: RunDirectory) -> list[str]:
    return [event.kind for event in read_events(run.events)]


def test_on_a_full_disk_the_training_goes_on_says_so_once_and_saves_when_there_is_room(home: Home, text: Path) -> None:
    endless: dict[str, Any] = {
        "num_steps": 1_000_000,
        "eval_interval": 1_000_000,
        "checkpoint_interval": 5,
        "log_interval": 5,
    }
    run = make_run(home, "job", tiny_spec(text, **endless))
    trainer = start_trainer(home, run)
    eventually(lambda: list_checkpoints(run.checkpoints) or trainer.poll() is not None, 60)
    limit_files(trainer, ROOM_FOR_LOGS_ONLY)
    eventually(lambda: "degraded" in kinds(run), 60)
    saved = list_checkpoints(run.checkpoints)[-1].step
    seen = len(rows(run.training_metrics))
    # Several times as far as the intervals at which it would have saved.
    eventually(lambda: len(rows(run.training_metrics)) > seen + 20, 60)
    assert list_checkpoints(run.checkpoints)[-1].step == saved
    # It goes on trying: what a try that failed left behind goes with its failure.
    eventually(lambda: not [path for path in run.checkpoints.iterdir() if path.name.startswith(".")], 20)
    limit_files(trainer, resource.RLIM_INFINITY)
    eventually(lambda: "recovered" in kinds(run), 60)
    assert list_checkpoints(run.checkpoints)[-1].step > saved
    trainer.terminate()
    assert trainer.wait(60) == 0
    assert kinds(run).count("degraded") == kinds(run).count("recovered") == 1
    newest = newest_sound(run.checkpoints)
    assert newest is not None
    assert newest.step == read_events(run.events)[-1].data["step"]


@pytest.mark.parametrize("room", [ROOM_FOR_LOGS_ONLY, 1], ids=["room for logs", "no room at all"])
def test_a_disk_that_is_still_full_at_the_end_costs_the_end_and_not_what_was_saved(
    home: Home, text: Path, room: int
) -> None:
    run = make_run(home, "full", tiny_spec(text))
    held = run.path / "held"
    trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"step.accumulate=hold:{held}@15")
    eventually(Path(f"{held}.reached").exists, 60)
    held.touch()
    limit_files(trainer, room)
    assert trainer.wait(60) == 1
    newest = newest_sound(run.checkpoints)
    assert newest is not None
    if room > 1:
        error = read_events(run.events)[-1].data["error"]
        assert error["kind"] == "disk"
        assert f"The newest sound checkpoint is of step {newest.step}." in error["message"]
        assert "space" in error["suggestion"]
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
    assert history(run) == history(undisturbed())


def test_what_the_disk_refuses_once_is_written_later_and_changes_nothing(home: Home, text: Path) -> None:
    refusals = (
        "metrics.append=enospc@5", "metrics.append=short:40@9", "metrics.fsync=enospc@2", "checkpoint.begin=enospc@1",
        "events.append=enospc@7", "events.append=short:20@9",
    )  # fmt: skip
    run = make_run(home, "refused", tiny_spec(text))
    assert start_trainer(home, run, SAETUI_FAILPOINTS=";".join(refusals)).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
    assert history(run) == history(undisturbed())
    logged = [[step for step, _, _ in rows(each.job_metrics)] for each in (run, undisturbed())]
    assert logged[0] == logged[1]
    # A save that was refused is made up for by a later one.
    aside = {"degraded", "recovered", "checkpoint"}
    ours, theirs = ([kind for kind in kinds(each) if kind not in aside] for each in (run, undisturbed()))
    assert ours == theirs
    assert list_checkpoints(run.checkpoints)[-1].step == STEPS
    assert not (run.path / ".reserve").exists()
