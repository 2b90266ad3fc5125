"""As many charts as are readable, the others on further pages, and the choice of the first ones."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import msgspec
import pytest
from textual.pilot import Pilot

from saetui.jobs.job import Status
from saetui.jobs.preferences import Preferences
from saetui.protocol.messages import PreferencesChanged
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.chart_choice import ChartChoice
from saetui.tui.screens.job import JobScreen
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.screens.settings import SettingsScreen
from saetui.tui.widgets.chart_grid import ChartGrid
from saetui.tui.widgets.chart_panel import ChartPanel
from tests.tui.conftest import MakeApp
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import RunMaker, make_job


@asynccontextmanager
async def charts(
    make: MakeApp, home: Path, size: tuple[int, int], architecture: str = "standard", *, of_job: bool = True
) -> AsyncIterator[tuple[Pilot[None], ChartGrid]]:
    """The charts of a job of 600 steps, on its own screen or under the list."""
    job = make_job(home, 1, Status.RUNNING, step=600, architecture=architecture)
    RunMaker(home, job).train(600)
    app = make([job])
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.model.jobs)
        if of_job:
            await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen if of_job else JobsScreen))
        grid = app.screen.query_one(ChartGrid)
        await until(pilot, lambda: not grid.has_class("notice") and any(panel.curves for panel in grid.panels))
        yield pilot, grid


async def shows(pilot: Pilot[None], text: str) -> None:
    await until(pilot, lambda: text in screen_text(pilot.app.screen))


async def begins_with(pilot: Pilot[None], grid: ChartGrid, title: str) -> None:
    await until(pilot, lambda: titles(grid)[0] == title)


async def have(pilot: Pilot[None], grid: ChartGrid, *wanted: str) -> None:
    """The shown charts become these: keys are handed on one at a time, after `press` has returned."""
    await until(pilot, lambda: titles(grid) == list(wanted))


def shown(grid: ChartGrid) -> list[ChartPanel]:
    return [panel for panel in grid.panels if panel.display]


def is_readable(panel: ChartPanel) -> bool:
    return panel.size.height >= 8 and panel.size.width >= 34


def titles(grid: ChartGrid) -> list[str]:
    return [panel.metric.title for panel in shown(grid)]


@pytest.mark.parametrize(
    ("size", "of_job", "count"),
    [((80, 24), True, 4), ((80, 24), False, 4), ((60, 20), True, 1), ((120, 40), True, 6), ((200, 60), True, 9)],
)
async def test_only_as_many_charts_as_are_readable_are_shown(
    fixed_app: MakeApp, tmp_path: Path, size: tuple[int, int], of_job: bool, count: int
) -> None:
    async with charts(fixed_app, tmp_path, size, of_job=of_job) as (pilot, grid):
        # A panel has its size once it is laid out, after it is displayed.
        await until(pilot, lambda: len(titles(grid)) == count and all(map(is_readable, shown(grid))))


@pytest.mark.parametrize("of_job", [True, False])
async def test_a_key_turns_the_pages_which_are_numbered(fixed_app: MakeApp, tmp_path: Path, of_job: bool) -> None:
    async with charts(fixed_app, tmp_path, (80, 24), of_job=of_job) as (pilot, grid):
        assert titles(grid) == ["loss", "FVU", "L0", "dead"]
        for page in ("1–4 of 9", "5–8 of 9", "9 of 9", "1–4 of 9"):
            await shows(pilot, page)
            await pilot.press("full_stop")
        await have(pilot, grid, "CE recovered", "gradient norm", "learning rate", "tokens/s")


async def test_the_key_is_offered_only_where_there_are_more_pages(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (120, 40)) as (pilot, grid):
        await shows(pilot, "more charts")
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: "more charts" not in screen_text(pilot.app.screen))
        assert not grid.has_more


async def test_all_sites_have_their_value_in_a_narrow_heading(fixed_app: MakeApp, tmp_path: Path) -> None:
    job = make_job(tmp_path, 1, layers=(1, 2, 3), step=600)
    RunMaker(tmp_path, job).train(600)
    app = fixed_app([job])
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model.jobs)
        await pilot.press("enter", "v")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        await until(pilot, lambda: re.search(r"loss  a \d\.\d+  b \d\.\d+  c \d\.\d+", screen_text(app.screen)))


async def test_the_focus_stays_on_a_chart_that_is_shown(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24)) as (pilot, grid):
        await pilot.press("tab", "tab", "tab", "pageup")
        await have(pilot, grid, "reconstruction loss")
        await until(pilot, lambda: pilot.app.focused is grid.panels[0])


async def test_an_enlarged_chart_is_followed_by_the_next(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24)) as (pilot, grid):
        await pilot.press("tab", "enter")
        await have(pilot, grid, "FVU")
        await pilot.press("pagedown")
        await have(pilot, grid, "L0")
        await pilot.press("escape")
        await have(pilot, grid, "loss", "FVU", "L0", "dead")


async def test_a_flat_l0_takes_no_place_on_the_first_page(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24), "topk") as (_, grid):
        assert titles(grid) == ["loss", "FVU", "dead", "CE recovered"]


async def test_the_charts_that_come_first_are_chosen_by_key(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24)) as (pilot, grid):
        await pilot.press("full_stop", "w")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChartChoice))
        await pilot.press("G", "k", "k", "k", "space", "g", "j", "space", "enter")
        await until(pilot, lambda: titles(grid) == ["reconstruction loss", "FVU", "loss", "L0"])


async def test_a_choice_can_be_left_as_it_was_or_taken_back(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24)) as (pilot, grid):
        app = cast("SaetuiApp", pilot.app)
        app.choose_charts(("l0",))
        for keys, first in ((("w", "space", "escape"), "L0"), (("w", "x", "enter"), "loss")):
            await pilot.press(*keys)
            await begins_with(pilot, grid, first)


async def test_the_kept_choice_is_shown(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with charts(fixed_app, tmp_path, (80, 24), of_job=False) as (pilot, grid):
        source = cast("FixedSource", cast("SaetuiApp", pilot.app)._source)
        source.tell(PreferencesChanged(msgspec.structs.replace(Preferences(), charts="tokens_per_second,l0")))
        await until(pilot, lambda: titles(grid)[:2] == ["tokens/s", "L0"])


async def test_the_settings_offer_the_same_choice(fixed_app: MakeApp) -> None:
    async with fixed_app([]).run_test(size=(80, 24)) as pilot:
        await pilot.press("comma")
        await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen))
        await shows(pilot, "charts")
        await pilot.press("G", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChartChoice))
