"""One damaged file costs neither jobs nor templates; what it costs is said, with the place of the file, until that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.cli.main import run
from saetui.client.blocking import ask
from saetui.client.link import Link
from saetui.jobs.damage import read_damage
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs, GetTemplates, SaveTemplate
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ErrorScreen
from tests.reliability.machine import ReliableMachine
from tests.tui.pressing import screen_text, until

SPEC = {"architecture": "topk", "hyperparameters": {"k": 16}}


@pytest.fixture
def filled(machine: ReliableMachine, monkeypatch: pytest.MonkeyPatch) -> ReliableMachine:
    """A home with a job and a template, whose supervisor has left."""
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    machine.start()
    machine.until(machine.submit(steps=2).id, Status.COMPLETED)
    ask(SaveTemplate(SPEC, "mine"), machine.home)
    machine.leave()
    return machine


def own_templates(machine: ReliableMachine) -> list[str]:
    return [found.name for found in ask(GetTemplates(), machine.home, start=False).templates if not found.builtin]


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"\0" * 20 + content[40:])


@pytest.mark.parametrize("name", ["saetui.json", "templates.json"])
def test_one_damaged_file_loses_neither_jobs_nor_templates_and_is_said(filled: ReliableMachine, name: str) -> None:
    damage(filled.home.root / name)
    assert read_damage(filled.home.root) == []
    filled.start()
    assert len(ask(GetJobs(), filled.home, start=False).jobs) == 1
    assert own_templates(filled) == ["mine"]
    (loss,) = read_damage(filled.home.root)
    assert loss.file == str(filled.home.root / name) and loss.moved_to is not None and Path(loss.moved_to).exists()
    # Said until the user takes the damaged file away.
    Path(loss.moved_to).unlink()
    assert read_damage(filled.home.root) == []


async def test_lost_templates_are_said_by_doctor_and_once_in_the_screens(
    filled: ReliableMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("templates.json", "templates.json.previous"):
        damage(filled.home.root / name)
    filled.start()
    assert own_templates(filled) == []
    first, second = read_damage(filled.home.root)
    assert first.lost == second.lost == "all templates of your own"
    monkeypatch.setattr("saetui.cli.doctor.check_torch", lambda: iter(()))
    run(["doctor", "--json"])
    said = capsys.readouterr().out
    assert str(first.moved_to) in said and "all templates of your own" in said

    app = SaetuiApp(Link(filled.home), home=filled.home, theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ErrorScreen))
        await until(pilot, lambda: "all templates" in screen_text(app.screen))
        assert "unreadable-" in "".join(screen_text(app.screen).split())
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ErrorScreen))
        await until(pilot, lambda: read_damage(filled.home.root) == [])


def test_doctor_can_be_told_that_a_loss_is_known(
    filled: ReliableMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(filled.home.root / "templates.json")
    filled.start()
    assert read_damage(filled.home.root)
    monkeypatch.setattr("saetui.cli.doctor.check_torch", lambda: iter(()))
    run(["doctor"])
    assert "templates.json could not be used" in capsys.readouterr().out
    run(["doctor", "--acknowledge"])
    assert "templates.json" not in capsys.readouterr().out
