"""A job that loads, evaluates or saves says so in the list, under it, and on its own screen."""

from __future__ import annotations

from pathlib import Path

import msgspec

from saetui.display.dates import date_and_time
from saetui.jobs.job import Status
from saetui.tui.screens.job import JobScreen
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until
from tests.tui.runs import busy_home

PHASE = "Evaluating step 2000 on held-out text: 50%"


async def test_the_phase_is_in_the_list_and_in_both_headings(fixed_app: MakeApp, tmp_path: Path) -> None:
    running = next(job for job in busy_home(tmp_path) if job.status is Status.RUNNING)
    app = fixed_app([msgspec.structs.replace(running, phase=PHASE, eta_seconds=None)])
    async with app.run_test(size=(200, 36)) as pilot:
        await until(pilot, lambda: PHASE in screen_text(app.screen))
        assert "evaluating" in screen_text(app.screen)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen) and PHASE in screen_text(app.screen))
        assert "to go" not in screen_text(app.screen)
        assert running.started_at is not None
        assert f"started {date_and_time(running.started_at)}" in screen_text(app.screen)
