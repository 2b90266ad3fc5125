"""The life of jobs by keys, against a real supervisor with trainers that need no torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.client.blocking import ask
from saetui.client.link import Link
from saetui.display.figures import size
from saetui.formats.directories import bytes_in
from saetui.jobs.job import Status
from saetui.jobs.preferences import PREFERENCES
from saetui.protocol.messages import GetPreferences
from saetui.rundir.checkpoints import list_checkpoints
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.job import JobScreen
from saetui.tui.screens.job_keys import ACTION_COMMANDS, can_be_asked
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.screens.settings import STEPS, SettingsScreen, neighbour
from saetui.tui.widgets.job_list import JobList
from tests.supervisor import trainer
from tests.supervisor.conftest import Machine, machine
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until
from tests.tui.runs import restless_home

__all__ = ["machine"]


def make_app(machine: Machine, monkeypatch: pytest.MonkeyPatch, job: str | None = None) -> SaetuiApp:
    monkeypatch.setenv("SAETUI_HOME", str(machine.home.root))
    return SaetuiApp(Link(machine.home), job=job)


def status(app: SaetuiApp, job_id: str) -> Status:
    return app.model.jobs[job_id].status


def marked(app: SaetuiApp) -> list[str]:
    screen = app.screen_stack[0]
    assert isinstance(screen, JobsScreen)
    return sorted(screen._marked)


def listed(app: SaetuiApp) -> list[str]:
    return [job.name for job in app.screen_stack[0].query_one(JobList).items]


async def test_a_job_is_paused_resumed_unloaded_and_resumed_by_keys(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(name="mine")
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.jobs and app.model.jobs[job.id].step > 2)
        await pilot.press("p")
        await until(pilot, lambda: status(app, job.id) is Status.PAUSED)
        await until(pilot, lambda: "‖ paused" in screen_text(app.screen))
        await pilot.press("p")
        await until(pilot, lambda: status(app, job.id) is Status.RUNNING)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await pilot.press("b")
        await until(pilot, lambda: list_checkpoints(machine.run(job.id).checkpoints))
        await pilot.press("u")
        await until(pilot, lambda: app.model.jobs[job.id].unloaded)
        await until(pilot, lambda: "unloaded" in screen_text(app.screen))
        await pilot.press("r")
        await until(pilot, lambda: status(app, job.id) is Status.RUNNING)
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


async def test_a_retry_is_asked_and_starts_on_keeping(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    job = machine.submit(name="mine", steps=5)
    first = machine.until(job.id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.jobs)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        assert machine.job(job.id).started_at == first.started_at
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(pilot, lambda: app.model.jobs[job.id].started_at not in (None, first.started_at))
        await until(pilot, lambda: status(app, job.id) is Status.COMPLETED)


async def test_a_mark_leaves_the_sign_of_the_state_in_view(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    job = machine.submit(steps=1, name="marked")
    machine.until(job.id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✓ marked" in screen_text(app.screen))
        await pilot.press("space")
        await until(pilot, lambda: "✓◆marked" in screen_text(app.screen))


async def test_d_trains_no_demo_beside_other_jobs_and_the_palette_does(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(steps=1, name="first")
    machine.until(job.id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: listed(app) == ["first"])
        await pilot.press("d")
        await pilot.pause(0.2)
        assert len(app.model.jobs) == 1
        await pilot.press("colon", *"jobs demo")
        await until(pilot, lambda: "Jobs: demo" in screen_text(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: "demo" in listed(app))
        demo = next(job for job in app.model.jobs.values() if job.name == "demo")
        await pilot.press("G", "g")
        machine.stop(demo.id)
        machine.until(demo.id, Status.STOPPED, Status.COMPLETED, Status.FAILED)


async def test_several_are_marked_by_their_state_moved_in_the_queue_and_stopped(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    running = machine.submit(name="running")
    machine.until(running.id, Status.RUNNING)
    waiting = [machine.submit(name=name) for name in ("one", "two", "three")]
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: listed(app) == ["running", "one", "two", "three"])
        await pilot.press("G", "less_than_sign")
        await until(pilot, lambda: listed(app) == ["running", "one", "three", "two"])
        await until(pilot, lambda: "queued 2" in screen_text(app.screen))
        await pilot.press("A", "S")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "Stop 3 jobs?" in screen_text(app.screen)
        assert "one, three, two." in screen_text(app.screen)
        await pilot.press("y")
        await until(pilot, lambda: all(status(app, job.id) is Status.STOPPED for job in waiting))
        assert marked(app) == []
        assert status(app, running.id) is Status.RUNNING
    machine.stop(running.id)
    machine.until(running.id, Status.STOPPED)


async def test_marked_jobs_that_the_filter_hides_are_left_alone_and_counted(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    jobs = {name: machine.submit(name=name, steps=1).id for name in ("keep-a", "keep-b", "drop-a", "drop-b")}
    for job_id in jobs.values():
        machine.until(job_id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 4)
        await pilot.press("A")
        await pilot.press("slash")
        await pilot.press(*"drop")
        await until(pilot, lambda: sorted(listed(app)) == ["drop-a", "drop-b"])
        await pilot.press("enter", "D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        shown = " ".join(screen_text(app.screen).replace("│", " ").split())
        assert "Delete 2 jobs?" in shown and "2 marked jobs hidden by the filter are left alone" in shown
        assert "drop-b, drop-a." in shown or "drop-a, drop-b." in shown
        taken = sum(bytes_in(machine.home.run(jobs[name])) for name in ("drop-a", "drop-b"))
        assert f"On the disk they take {size(taken)}." in shown
        await pilot.press("y")
        await until(pilot, lambda: sorted(app.model.jobs) == sorted([jobs["keep-a"], jobs["keep-b"]]))
        # The two that were left alone are marked still, and come into reach again with the filter gone.
        await pilot.press("escape")
        await until(pilot, lambda: sorted(listed(app)) == ["keep-a", "keep-b"])
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        shown = screen_text(app.screen)
        assert "Delete 2 jobs?" in shown and "left alone" not in shown
        await pilot.press("n")
    assert sorted(path.name for path in machine.home.runs.iterdir()) == sorted([jobs["keep-a"], jobs["keep-b"]])


async def test_with_every_mark_hidden_a_key_acts_on_the_highlighted_job_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    marked, seen = (machine.submit(name=name, steps=1) for name in ("marked", "seen"))
    machine.until(seen.id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(listed(app)) == 2)
        await pilot.press("slash", *"marked", "enter")
        await until(pilot, lambda: listed(app) == ["marked"])
        await pilot.press("space", "escape", "slash", *"seen", "enter")
        await until(pilot, lambda: listed(app) == ["seen"])
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        shown = " ".join(screen_text(app.screen).replace("│", " ").split())
        assert "Delete seen?" in shown and "1 marked job hidden by the filter is left alone" in shown
        await pilot.press("y")
        await until(pilot, lambda: list(app.model.jobs) == [marked.id])


async def test_what_the_supervisor_refuses_is_shown_to_be_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start()
    job = machine.submit(trainer.KNOWS_NO_WISHES, name="old")
    machine.until_step(job.id, 2)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.jobs)
        await pilot.press("p")
        await until(pilot, lambda: "older saetui" in screen_text(app.screen))
    machine.stop(job.id)
    machine.until(job.id, Status.STOPPED)


async def test_settings_are_changed_by_keys_and_kept(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    monkeypatch.delenv("NO_COLOR", raising=False)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.known)
        await pilot.press("comma")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        await pilot.press("right")
        await until(pilot, lambda: app.model.preferences is not None and app.model.preferences.auto_resume)
        await pilot.press("j", "j", "j", "right", "right")
        await until(pilot, lambda: app.theme == "nord", "the theme of the settings")
        await pilot.press("x")
        await until(pilot, lambda: app.model.preferences is not None and app.model.preferences.theme == "auto")
        await pilot.press("escape", "f3")
        await until(pilot, lambda: app.model.preferences is not None and app.model.preferences.ascii_charts)
        await pilot.press("comma", "G", "enter", "j", "j", "space", "g", "space", "enter")
        await until(pilot, lambda: app.model.preferences is not None and app.model.preferences.charts == "l0,loss")
    kept = ask(GetPreferences(), machine.home).preferences
    assert (kept.auto_resume, kept.theme, kept.ascii_charts, kept.charts) == (True, "auto", True, "l0,loss")
    again = make_app(machine, monkeypatch)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.ascii_charts and again.chosen_charts == ("l0", "loss"))


async def test_the_order_of_the_list_is_kept(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.start()
    machine.until(machine.submit(steps=1).id, Status.COMPLETED)
    app = make_app(machine, monkeypatch)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(app.model.jobs))
        await pilot.press("o", "o", "O")
        await until(pilot, lambda: app.model.preferences is not None and app.model.preferences.order == "name_reversed")
    again = make_app(machine, monkeypatch)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(again.model.jobs))
        await until(pilot, lambda: "name ▼" in screen_text(again.screen))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("no-room", {"pause", "unload", "checkpoint", "stop"}),
        ("soon-quiet", {"unload", "resume", "checkpoint", "stop"}),
        ("held", {"pause", "unload", "resume", "checkpoint", "stop"}),
        ("memory-free", {"pause", "resume", "stop"}),
        ("first-in-line", {"pause", "unload", "stop", "earlier", "later"}),
        ("last-words", {"stop"}),
        ("killed", {"resume", "retry", "delete"}),
    ],
)
def test_only_what_can_be_done_is_offered(tmp_path: Path, name: str, keys: set[str]) -> None:
    job = next(job for job in restless_home(tmp_path) if job.name == name)
    assert {action for action in ACTION_COMMANDS if can_be_asked(action, [job])} == keys


async def test_what_a_job_does_without_is_said(fixed_app: MakeApp, tmp_path: Path) -> None:
    app = fixed_app(restless_home(tmp_path))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.screen.query_one(JobList).has_focus)
        await pilot.press("j", "j", "j", "j")
        await until(pilot, lambda: "goes on without saving" in screen_text(app.screen))
        text = screen_text(app.screen)
        for word in ("degraded", "pausing", "stopping", "waiting", "queued 1"):
            assert word in text


def test_every_setting_can_be_changed_by_keys_and_ends_at_its_ends() -> None:
    for row in PREFERENCES.values():
        after = neighbour(row, row.default, 1)
        assert after != row.default and row.read(row.show(after)) == after
        if row.name in STEPS:
            assert neighbour(row, STEPS[row.name][-1], 1) == STEPS[row.name][-1]
            assert all(row.read(f"{step:g}") == step for step in STEPS[row.name])
