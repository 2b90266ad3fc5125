"""A screen rests while another covers it, and shows the newest state when it is in front again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from textual.geometry import Region

from saetui.protocol.messages import JobChanged
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.jobs import JobsScreen
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import make_job

COVERS = {"question": "S", "help": "question_mark", "palette": "colon", "form": "n", "templates": "t", "job": "enter"}


@pytest.mark.parametrize("key", COVERS.values(), ids=COVERS.keys())
async def test_the_list_shows_the_newest_state_when_it_is_in_front_again(tmp_path: Path, key: str) -> None:
    job = make_job(tmp_path, 1, step=100)
    source = FixedSource([job])
    app = SaetuiApp(source, theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: " 5%" in screen_text(app.screen))
        home = app.screen
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not home)
        source.tell(JobChanged(msgspec.structs.replace(job, step=1500, progress=0.75)))
        await until(pilot, lambda: app.model.jobs[job.id].step == 1500)
        while app.screen is not home:
            await pilot.press("escape")
        await until(pilot, lambda: "75%" in screen_text(app.screen))


async def test_a_covered_screen_makes_the_one_in_front_draw_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Region] = []
    app = SaetuiApp(FixedSource([make_job(tmp_path, 1, step=100)]), theme="saetui")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, JobsScreen) and app.model.known)
        home = app.screen
        await pilot.press("t")
        front = app.screen
        assert isinstance(front, SaetuiScreen)
        assert front is not home
        await pilot.pause(0.1)
        monkeypatch.setattr(type(front), "refresh", lambda screen, *regions, **how: drawn.extend(regions))
        for widget in home.walk_children():
            widget.refresh()
        await pilot.pause(0.2)
        assert drawn == []
