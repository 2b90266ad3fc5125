from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from saetui.home import Home
from saetui.rundir.checkpoints import list_checkpoints, new_checkpoint
from saetui.rundir.events import read_events
from saetui.rundir.layout import RunDirectory
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import tiny_spec, tiny_text

SITE = "layer_1.resid_post"


@pytest.fixture
def stopped(home: Home, tmp_path: Path) -> RunDirectory:
    """A run that was killed in step 18, with checkpoints of steps 5, 10 and 15."""
    run = make_run(home, "job", tiny_spec(tiny_text(tmp_path), keep_last=9))
    assert start_trainer(home, run, SAETUI_FAILPOINTS="step.accumulate=kill@36").wait(60) == -9
    assert [info.step for info in list_checkpoints(run.checkpoints)] == [5, 10, 15]
    return run


def warnings(run: RunDirectory) -> list[str]:
    return [event.message for event in read_events(run.events) if event.kind == "warning"]


@pytest.mark.parametrize("damage", ["weights", "manifest"])
def test_a_damaged_checkpoint_is_said_and_put_away_and_the_one_before_is_taken(
    home: Home, stopped: RunDirectory, damage: str
) -> None:
    newest = stopped.checkpoints / "step_000000015"
    file = newest / ("manifest.json" if damage == "manifest" else f"{SITE}.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert start_trainer(home, stopped, SAETUI_FAILPOINTS="step.accumulate=kill@3").wait(60) == -9
    assert [info.step for info in list_checkpoints(stopped.checkpoints)] == [5, 10]
    assert not newest.exists()
    assert any("step 15 was damaged" in said for said in warnings(stopped))


def test_another_environment_is_said(home: Home, stopped: RunDirectory) -> None:
    newest = stopped.checkpoints / "step_000000015"
    content = msgspec.json.decode((newest / "trainer.json").read_bytes())
    assert content["loop"]["environment"]["threads"] == 1
    content["loop"]["environment"]["threads"] = 8
    with new_checkpoint(stopped.checkpoints, 15) as path:
        shutil.copytree(newest, path, dirs_exist_ok=True)
        (path / "manifest.json").unlink()
        (path / "trainer.json").write_bytes(msgspec.json.encode(content))
    assert start_trainer(home, stopped, SAETUI_FAILPOINTS="step.accumulate=kill@2").wait(60) == -9
    assert any("another environment (threads 8 → 1)" in said for said in warnings(stopped))
