"""A job that ends is said: on the screen, by the bell and by the desktop, each where it is wanted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.drivers.headless_driver import HeadlessDriver

from saetui.jobs.job import Status
from saetui.jobs.preferences import Preferences
from saetui.protocol.messages import JobChanged, PreferencesChanged, Snapshot
from saetui.tui.app import SaetuiApp
from tests.supervisor.conftest import Machine, machine
from tests.tui.fixed import FixedSource
from tests.tui.pressing import until
from tests.tui.runs import make_job
from tests.tui.test_terminal import open_tui

__all__ = ["machine"]

ALL = ("notices", "bell", "desktop_notices")


@pytest.mark.parametrize("wanted", [ALL, *((name,) for name in ALL), ()], ids="-".join)
async def test_each_way_can_be_switched_off(
    wanted: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(HeadlessDriver, "write", lambda self, data: written.append(data))
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    jobs = [make_job(tmp_path, 1, name="one"), make_job(tmp_path, 2, name="two")]
    source = FixedSource(jobs)
    app = SaetuiApp(source, theme="saetui")
    bells: list[int] = []
    monkeypatch.setattr(app, "bell", lambda: bells.append(1))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.known)
        source.tell(PreferencesChanged(msgspec.convert({name: name in wanted for name in ALL}, Preferences)))
        for job in jobs:
            source.tell(JobChanged(msgspec.structs.replace(job, status=Status.COMPLETED), progress_only=False))
        await until(pilot, lambda: app.model.count(Status.COMPLETED) == 2)
        await pilot.pause()
        said = "2 jobs have ended: one, two"
        assert [notice.message for notice in app._notifications] == [said] * ("notices" in wanted)
        assert len(bells) == ("bell" in wanted)
        assert written.count(f"\x1b]9;{said}\x1b\\") == ("desktop_notices" in wanted)


async def test_an_end_that_came_while_the_supervisor_was_away_is_said(tmp_path: Path) -> None:
    """And nothing is said of jobs that had ended before the first answer."""
    job = make_job(tmp_path, 1, name="one")
    old = make_job(tmp_path, 2, Status.COMPLETED, name="old")
    source = FixedSource([job, old])
    app = SaetuiApp(source, theme="saetui")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.known)
        assert not list(app._notifications)
        ended = msgspec.structs.replace(job, status=Status.FAILED)
        source.news.put_nowait(Snapshot(seq=9, jobs=(ended, old), templates=(), preferences=Preferences()))
        await until(pilot, lambda: app.model.count(Status.FAILED) == 1)
        await pilot.pause()
        assert [notice.message for notice in app._notifications] == ["one failed."]


def test_the_terminal_gets_the_bell_and_the_notice_of_a_real_job(machine: Machine) -> None:
    machine.start()
    terminal = open_tui(machine)
    terminal.read_until(lambda seen: b"train the demo" in seen)
    job = machine.submit(steps=200, name="on-the-wire")
    machine.until(job.id, Status.COMPLETED)
    terminal.read_until(lambda seen: b"\x1b]9;on-the-wire completed" in seen and b"\x07" in seen)
    terminal.press(b"q")
    terminal.read_until(lambda _: terminal.process.poll() is not None)
    terminal.close()
