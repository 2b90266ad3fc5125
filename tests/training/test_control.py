from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from saetui.home import Home
from saetui.jobs.job import DesiredState
from saetui.rundir.checkpoints import list_checkpoints
from saetui.rundir.control import Control, write_control
from saetui.rundir.events import LoggedEvent, read_events
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention
from tests.conditions import eventually
from tests.training.runs import make_run, start_trainer
from tests.training.tiny import SITES, history, results, tiny_spec, tiny_text, undisturbed
from tests.training.tiny import rows as metric_rows
from tests.training.zygote import Trainer


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tiny_text(tmp_path)


def long_run(home: Home, text: Path, **hyperparameters: Any) -> RunDirectory:
    """A run that does not end by itself while a test lasts."""
    sizes: dict[str, Any] = {
        "num_steps": 1_000_000,
        "checkpoint_interval": 1_000_000,
        "eval_interval": 1_000_000,
        "log_interval": 2,
    }
    return make_run(home, "job", tiny_spec(text, **(sizes | hyperparameters)))


def wish(run: RunDirectory, trainer: Trainer, control: Control) -> None:
    """What the supervisor does."""
    write_control(run, control)
    trainer.send_signal(signal.SIGUSR1)


def events(run: RunDirectory, kind: str) -> list[LoggedEvent]:
    return [event for event in read_events(run.events) if event.kind == kind]


def rows(run: RunDirectory) -> int:
    return len(metric_rows(run.training_metrics))


def wait_for(run: RunDirectory, trainer: Trainer, kind: str, count: int = 1) -> LoggedEvent:
    eventually(lambda: len(events(run, kind)) >= count or trainer.poll() is not None, 60)
    found = events(run, kind)
    assert len(found) >= count, run.log.read_text()
    return found[count - 1]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def saved_steps(run: RunDirectory) -> list[int]:
    return [info.step for info in list_checkpoints(run.checkpoints)]


def test_a_pause_holds_still_answers_and_goes_on(home: Home, text: Path) -> None:
    run = long_run(home, text)
    trainer = start_trainer(home, run)
    eventually(lambda: rows(run), 60)
    wish(run, trainer, Control(desired_state=DesiredState.PAUSE))
    step = wait_for(run, trainer, "paused").data["step"]
    written, used = rows(run), processor_seconds(trainer.pid)
    wish(run, trainer, Control(desired_state=DesiredState.PAUSE, checkpoints=1))
    assert wait_for(run, trainer, "checkpoint").data == {"step": step, "requests": 1}
    assert saved_steps(run) == [step]
    assert rows(run) == written
    # A busy wait would have used all the time that the save took, and more.
    assert processor_seconds(trainer.pid) - used < 0.5
    wish(run, trainer, Control(desired_state=DesiredState.RUN, checkpoints=1))
    assert wait_for(run, trainer, "resumed").data["step"] == step
    eventually(lambda: rows(run) > written)
    trainer.terminate()
    assert trainer.wait(60) == 0
    ended = events(run, "ended")[-1]
    assert ended.data["outcome"] == "stopped"
    assert saved_steps(run) == [step, ended.data["step"]]


def test_a_stop_ends_a_pause_with_a_result(home: Home, text: Path) -> None:
    run = long_run(home, text)
    write_control(run, Control(desired_state=DesiredState.PAUSE))
    trainer = start_trainer(home, run)
    wait_for(run, trainer, "paused")
    wish(run, trainer, Control())
    eventually(lambda: rows(run), 60)
    wish(run, trainer, Control(desired_state=DesiredState.PAUSE))
    step = wait_for(run, trainer, "paused", 2).data["step"]
    trainer.terminate()
    trainer.terminate()
    assert trainer.wait(60) == 0
    assert events(run, "ended")[-1].data == {"outcome": "stopped", "step": step, "error": None}
    assert tuple(path.name for path in run.results()) == SITES["topk"]


def test_a_released_pause_ends_the_process_and_the_rest_of_the_run_is_the_same(home: Home, text: Path) -> None:
    run = make_run(home, "released", tiny_spec(text))
    trainer = start_trainer(home, run)
    eventually(lambda: rows(run), 60)
    wish(run, trainer, Control(desired_state=DesiredState.UNLOAD))
    assert trainer.wait(60) == 0, run.log.read_text()
    ended = events(run, "ended")[-1]
    assert ended.data["outcome"] == "paused"
    assert saved_steps(run)[-1] == ended.data["step"]
    assert tuple(path.name for path in run.results()) == SITES["topk"], "a released job that is stopped has its SAE"
    write_control(run, Control())
    assert start_trainer(home, run).wait(60) == 0, run.log.read_text()
    assert results(run) == results(undisturbed())


def test_a_pause_that_is_released_later_is_saved_then(home: Home, text: Path) -> None:
    run = long_run(home, text)
    trainer = start_trainer(home, run)
    eventually(lambda: rows(run), 60)
    wish(run, trainer, Control(desired_state=DesiredState.PAUSE))
    step = wait_for(run, trainer, "paused").data["step"]
    wish(run, trainer, Control(desired_state=DesiredState.UNLOAD))
    assert trainer.wait(60) == 0
    assert events(run, "ended")[-1].data == {"outcome": "paused", "step": step, "error": None}
    assert saved_steps(run) == [step]


def test_released_before_the_first_step_nothing_is_saved(home: Home, text: Path) -> None:
    run = long_run(home, text)
    write_control(run, Control(desired_state=DesiredState.UNLOAD))
    assert start_trainer(home, run).wait(60) == 0
    assert events(run, "ended")[-1].data == {"outcome": "paused", "step": 0, "error": None}
    assert saved_steps(run) == []


def test_a_request_for_a_checkpoint_is_answered_once_over_all_processes(home: Home, text: Path) -> None:
    run = long_run(home, text)
    write_control(run, Control(checkpoints=1))
    trainer = start_trainer(home, run)
    first = wait_for(run, trainer, "checkpoint")
    assert first.data["requests"] == 1
    trainer.kill()
    trainer.wait()
    trainer = start_trainer(home, run)
    wait_for(run, trainer, "started", 2)
    wish(run, trainer, Control(checkpoints=2))
    assert wait_for(run, trainer, "checkpoint", 2).data["requests"] == 2
    trainer.terminate()
    assert trainer.wait(60) == 0


def test_a_changed_retention_holds_from_the_next_save(home: Home, text: Path) -> None:
    run = long_run(home, text, checkpoint_interval=5, keep_last=50)
    write_control(run, Control(retention=Retention(keep_first=False, keep_last=1, keep_best=False)))
    trainer = start_trainer(home, run)
    wait_for(run, trainer, "checkpoint", 3)
    trainer.terminate()
    assert trainer.wait(60) == 0
    assert saved_steps(run) == [events(run, "ended")[-1].data["step"]]


def test_a_damaged_control_file_is_told_and_the_training_goes_on(home: Home, text: Path) -> None:
    run = long_run(home, text)
    (run.path / "control.json").write_bytes(b'{"wish": "pau')
    trainer = start_trainer(home, run)
    assert "control.json cannot be read" in wait_for(run, trainer, "warning").message
    eventually(lambda: rows(run), 60)
    trainer.kill()


def test_a_stop_is_noticed_in_the_middle_of_a_start(home: Home, text: Path) -> None:
    run = long_run(home, text, num_steps=100)
    held = run.path / "held"
    trainer = start_trainer(home, run, SAETUI_FAILPOINTS=f"metrics.open=hold:{held}")
    eventually(Path(f"{held}.reached").exists, 60)
    trainer.terminate()
    assert trainer.wait(60) == 0, run.log.read_text()
    assert events(run, "ended")[-1].data == {"outcome": "stopped", "step": 0, "error": None}
    assert run.results() == []


@pytest.mark.slow
def test_whatever_is_asked_in_whatever_order_the_result_is_the_same(home: Home, text: Path) -> None:
    sizes: dict[str, Any] = {"num_steps": 80, "log_interval": 3, "checkpoint_interval": 11, "eval_interval": 1000}
    run = make_run(home, "job", tiny_spec(text, **sizes))
    trainer = start_trainer(home, run)
    checkpoints, asked = 0, []
    for _ in range(8):
        seen = len(read_events(run.events))
        eventually(lambda: len(read_events(run.events)) > seen or rows(run) > 0 or trainer.poll() is not None, 60)  # noqa: B023
        if trainer.poll() is not None:
            write_control(run, Control(checkpoints=checkpoints))
            trainer = start_trainer(home, run)
        action = random.choice(["pause", "run", "release", "checkpoint", "stop", "kill"])
        asked.append(action)
        if action == "stop":
            trainer.terminate()
        elif action == "kill":
            trainer.kill()
        else:
            checkpoints += action == "checkpoint"
            wished = DesiredState(action) if action in ("pause", "release") else DesiredState.RUN
            wish(run, trainer, Control(desired_state=wished, checkpoints=checkpoints))
    wish(run, trainer, Control(checkpoints=checkpoints))
    while (code := trainer.wait(60)) != 0 or events(run, "ended")[-1].data["outcome"] != "completed":
        # A stop that comes before the trainer can take it ends it, and nothing is lost by that.
        assert code in (0, -signal.SIGKILL, -signal.SIGTERM), (asked, run.log.read_text())
        write_control(run, Control(checkpoints=checkpoints))
        trainer = start_trainer(home, run)
    assert results(run) == results(undisturbed(**sizes)), asked
    assert history(run) == history(undisturbed(**sizes)), asked
    answered = [event.data["requests"] for event in events(run, "checkpoint")]
    assert max(answered) == checkpoints, asked
