"""Whatever ends a training, the rest of it is bit for bit what it would have been."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.events import read_events
from saetui.spec.architectures import ARCHITECTURES
from tests.conditions import eventually
from tests.slow import slow_but
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import INTERVAL, SITES, history, results, tiny_spec, tiny_text, undisturbed

KILLS = 3


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tiny_text(tmp_path)


@pytest.mark.parametrize("architecture", slow_but(("topk", "standard"), ARCHITECTURES))
def test_killed_at_three_random_steps_the_result_and_the_history_are_the_same(
    home: Home, text: Path, architecture: str
) -> None:
    run = make_run(home, "killed", tiny_spec(text, architecture))
    sites = len(SITES.get(architecture, ("one",)))
    killed_at = []
    for _ in range(KILLS):
        # Counted from where the process begins: it may be before its first checkpoint, or behind it.
        hit = random.randint(1, (INTERVAL + 2) * sites)
        killed_at.append(hit)
        trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"step.accumulate=kill@{hit}")
        assert trainer.wait(60) == -9, (killed_at, run.log.read_text())
    assert start_trainer(home, run).wait(60) == 0, (killed_at, run.log.read_text())
    assert len(results(run)) == sites
    assert results(run) == results(undisturbed(architecture)), killed_at
    assert history(run) == history(undisturbed(architecture)), killed_at


@pytest.mark.parametrize(
    "point",
    slow_but(("checkpoint.fsync", "metrics.append"), [
        "checkpoint.begin", "checkpoint.fsync", "manifest.rename", "checkpoint.rename", "checkpoint.directory",
        "checkpoint.delete", "metrics.append", "events.append", "forward.run",
    ]),
)  # fmt: skip
def test_killed_in_the_middle_of_a_write_it_is_the_same_too(home: Home, text: Path, point: str) -> None:
    run = make_run(home, "killed", tiny_spec(text, "topk", keep_last=1, keep_first=False, keep_best=False))
    # Beyond what a start does, and such that there is a checkpoint before, between and behind.
    for hit in {"metrics.append": (7, 12), "events.append": (6, 7), "forward.run": (14, 15)}.get(point, (1, 2)):
        trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"{point}=kill@{hit}")
        assert trainer.wait(60) in (-9, 0), run.log.read_text()
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
    assert [path.name for path in run.checkpoints.iterdir()] == ["step_000000024"]


def test_stopped_again_and_again_it_is_the_same(home: Home, text: Path) -> None:
    run = make_run(home, "stopped", tiny_spec(text, "topk"))
    for count in (1, 2):
        held = run.path / f"held_{count}"
        trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"step.accumulate=hold:{held}@6")
        eventually(Path(f"{held}.reached").exists, 60)
        trainer.terminate()
        held.touch()
        assert trainer.wait(60) == 0, run.log.read_text()
        ended = read_events(run.events)[-1].data
        assert ended["outcome"] == "stopped"
        assert list_checkpoints(run.checkpoints)[-1].step == ended["step"] == 3 * count
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())


def test_a_stop_does_not_wait_for_an_evaluation_which_is_made_up_for(home: Home, text: Path) -> None:
    run = make_run(home, "stopped", tiny_spec(text, "topk"))
    held = run.path / "held"
    trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"evaluation.begin=hold:{held}@1")
    eventually(Path(f"{held}.reached").exists, 60)
    trainer.terminate()
    assert trainer.wait(60) == 0, run.log.read_text()
    assert read_events(run.events)[-1].data == {"outcome": "stopped", "step": 12, "error": None}
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())
    assert history(run) == history(undisturbed())
