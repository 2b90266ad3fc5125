"""The TUI against a real supervisor with real (small) trainers."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.client.link import Link
from saetui.jobs.job import Status
from saetui.rundir.checkpoints import list_checkpoints, new_checkpoint
from saetui.rundir.layout import RunDirectory
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.job import JobScreen
from saetui.tui.screens.keep_checkpoints import KeepScreen
from saetui.tui.widgets.chart_grid import ChartGrid
from tests.supervisor.conftest import Machine, machine
from tests.tui.pressing import screen_text, until

__all__ = ["machine"]


def make_app(machine: Machine, monkeypatch: pytest.MonkeyPatch, job: str | None = None) -> SaetuiApp:
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    return SaetuiApp(Link(machine.home), job=job, theme="saetui")


async def test_a_running_job_is_charted_stopped_and_deleted_by_keys(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(name="first-light")
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "first-light" in screen_text(app.screen))
        await until(pilot, lambda: not app.screen.query_one(ChartGrid).has_class("notice"), "charts")
        first = app.screen.query_one(ChartGrid).history
        assert first is not None
        seen = first.last_step
        await until(pilot, lambda: first.last_step > seen, "the charts go on")
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: app.model.jobs[job.id].status is Status.STOPPED)
        directory = Path(app.model.jobs[job.id].directory)
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("right", "enter")
        await until(pilot, lambda: not app.model.jobs)
        assert not directory.exists()


async def test_leaving_changes_nothing_for_a_job_and_coming_back_finds_it_further(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(name="goes-on")
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.jobs and app.model.jobs[job.id].step > 0)
        left_at = app.model.jobs[job.id].step
        await pilot.press("q")
    machine.until_step(job.id, left_at + 5)
    again = make_app(machine, monkeypatch, job.id)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.model.jobs and again.model.jobs[job.id].step > left_at)
        await pilot.press("enter", "5")
        await until(pilot, lambda: isinstance(again.screen, JobScreen))
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


async def test_a_killed_supervisor_comes_back_by_itself(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "train the demo" in screen_text(app.screen))
        machine.kill()
        machine.start()
        await until(pilot, lambda: app.model.connection.value == "connected")
        job = machine.submit(name="after-the-kill", steps=3)
        await until(pilot, lambda: job.id in app.model.jobs and app.model.jobs[job.id].status is Status.COMPLETED)


async def test_the_checkpoints_that_are_kept_are_chosen_by_keys(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(name="saved-often")
    machine.until(job.id, Status.RUNNING)
    machine.stop(job.id)
    directory = RunDirectory(Path(machine.until(job.id, Status.STOPPED).directory))
    newest = list_checkpoints(directory.checkpoints)[-1].step + 10_000_000  # after every warm-up
    for step, fvu in ((1, 0.9), (2, 0.1), (3, 0.5)):
        with new_checkpoint(directory.checkpoints, newest + step, fvu) as path:
            (path / "weights").write_bytes(bytes(1_000_000))
    before = [info.step for info in list_checkpoints(directory.checkpoints)]
    app = make_app(machine, monkeypatch, job.id)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "saved-often" in screen_text(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await pilot.press("3")
        await until(pilot, lambda: "best held-out FVU" in screen_text(app.screen))
        (best,) = [line for line in screen_text(app.screen).splitlines() if "best held-out FVU" in line]
        assert f"{newest + 2:,}" in best and "0.1000" in best
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, KeepScreen))
        await pilot.press("ctrl+u", "0")
        await until(pilot, lambda: "keep_last" in screen_text(app.screen))
        await pilot.press("enter")
        assert isinstance(app.screen, KeepScreen), "no rule without a newest one"
        await pilot.press("ctrl+u", "1", "tab", "tab", "space")  # the first one not
        gone = len(before) - 2
        await until(pilot, lambda: f"{gone} of {len(before)} go" in screen_text(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: len(list_checkpoints(directory.checkpoints)) == 2)
    assert [info.step for info in list_checkpoints(directory.checkpoints)] == [newest + 2, newest + 3]
