"""Exporting by keys: a job that has really been trained, and jobs that cannot be exported."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from saetui.client.blocking import ask
from saetui.client.exporting import Export
from saetui.client.link import Link
from saetui.client.task import Cancelled, Task
from saetui.errors import SaetuiError
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJob
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ErrorScreen
from saetui.tui.screens.export import ExportedScreen, ExportScreen
from tests.cli.conftest import SITES, Trained, shared, trained
from tests.supervisor.conftest import Machine, machine
from tests.tui.pressing import screen_text, until

__all__ = ["machine", "shared", "trained"]


@asynccontextmanager
async def exporting(
    trained: Trained, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[SaetuiApp, Pilot[None]]]:
    """The export dialog of the trained job, opened by its key."""
    app = SaetuiApp(Link(trained.home), job=str(trained.job["id"]), theme="saetui")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.model.jobs and "small" in screen_text(app.screen))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ExportScreen))
        yield app, pilot


def layout_and_architecture(path: Path) -> tuple[str, str]:
    """What the library reads in an exported directory. It needs torch, which `trained` needs too."""
    from saetui.sae.formats.layouts import load_sae

    loaded = load_sae(path)
    return loaded.layout, loaded.sae.architecture


def note(app: SaetuiApp) -> str:
    return str(app.screen.query_one(".dialog-note", Static).render())


async def test_x_and_enter_write_every_site_and_say_how_to_load_one(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with exporting(trained) as (app, pilot):
        assert f"Writes 2 SAEs for saelens: {tmp_path}/small" in note(app).replace("\n", "")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExportedScreen))
        screen = app.screen
        assert isinstance(screen, ExportedScreen)
        assert f'SAE.load_from_disk("{tmp_path}/small/{SITES[0]}")' in screen.text_to_copy()
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == sorted(SITES)
    for site in SITES:
        assert layout_and_architecture(tmp_path / "small" / site) == ("saelens", "topk")


async def test_one_site_goes_in_another_tools_format_where_the_user_says(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with exporting(trained) as (app, pilot):
        await pilot.press("ctrl+u", *str(tmp_path / "mine"), "tab", *"layer_1", "right", "tab", "right")
        assert f"the SAE of {SITES[0]} for dictionary_learning" in note(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ExportedScreen))
        assert "load_from_disk" not in screen_text(app.screen)
    assert (tmp_path / "mine" / "ae.pt").is_file()
    assert json.loads((tmp_path / "mine" / "config.json").read_text())["trainer"]["k"] == 8


async def test_nothing_is_overwritten_and_a_wrong_site_is_named(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "thesis.txt").write_text("all of it")
    async with exporting(trained) as (app, pilot):
        assert "small_2" in note(app), "a place that is free is offered"
        await pilot.press("ctrl+u", *str(tmp_path / "small"), "enter")
        assert isinstance(app.screen, ExportScreen) and "is not empty" in note(app)
        await pilot.press("ctrl+u", *str(tmp_path / "new"), "tab", *"layer_9", "enter")
        assert isinstance(app.screen, ExportScreen) and "no site layer_9" in note(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ExportScreen))
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    assert [path.name for path in (tmp_path / "small").iterdir()] == ["thesis.txt"]


async def test_the_dialog_can_be_read_at_80_columns(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with exporting(trained, (80, 24)) as (app, _):
        shown = screen_text(app.screen)
        words = ("saelens", "dictionary_learning", "sparsify", "saetui", "⏎ export")
        assert [word for word in words if word not in shown] == [], shown


async def test_a_job_without_a_result_says_how_to_get_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    job = machine.submit(name="young")
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    app = SaetuiApp(Link(machine.home), theme="saetui")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "young" in screen_text(app.screen))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ErrorScreen))
        assert "has no result" in screen_text(app.screen) and "saetui stop" in screen_text(app.screen)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


def test_a_cancelled_export_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    from saetui.jobs.job import Job

    job: Job = ask(GetJob("small"), trained.home).job
    export = Export(job, tmp_path / "gone", "sparsify")
    export.cancel()
    with pytest.raises(SaetuiError):
        export.run()
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_is_cancelled_ends_at_once() -> None:
    task = Task("tests.client.endless_task", {}, lambda line: task.cancel())
    with pytest.raises(Cancelled):
        task.run()
