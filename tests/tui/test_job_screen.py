"""One job's screen by keys, on a fixed source."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from saetui.jobs.job import Job, Status
from saetui.rundir.checkpoints import new_checkpoint
from saetui.rundir.layout import RunDirectory
from saetui.tui.screens.job import JobScreen
from saetui.tui.widgets.chart_grid import ChartGrid
from saetui.tui.widgets.text_pane import TextView
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until
from tests.tui.runs import busy_home


@asynccontextmanager
async def opened(make: MakeApp, home: Path) -> AsyncIterator[tuple[Pilot[None], JobScreen]]:
    """The screen of the running job of three sites, with its charts and log."""
    job: Job = next(job for job in busy_home(home) if job.status is Status.RUNNING)
    with new_checkpoint(RunDirectory(Path(job.directory)).checkpoints, 500, 0.11, 31.5) as directory:
        (directory / "weights").write_bytes(bytes(2_000_000))
    app = make([job])
    async with app.run_test(size=(100, 36)) as pilot:
        await until(pilot, lambda: app.model.jobs)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, JobScreen))
        screen = app.screen
        assert isinstance(screen, JobScreen)
        await until(pilot, lambda: not screen.query_one(ChartGrid).has_class("notice"))
        await until(pilot, lambda: screen.query_one("#log", TextView).pane.line_count == 200)
        yield pilot, screen


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("1", "CE recovered"),
        ("2", "layer_3.resid_post"),
        ("3", "1.9 MiB"),
        ("3", "0.1100    31.50"),
        ("4", "AuxK"),
        ("5", "step 1990"),
        ("6", "context_length"),
    ],
)
async def test_every_tab_shows_its_part(fixed_app: MakeApp, tmp_path: Path, key: str, text: str) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.press(key)
        await until(pilot, lambda: text in screen_text(screen))


async def test_the_inspected_step_moves_and_esc_ends_it(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        options = screen.query_one(ChartGrid).options
        await pilot.press("left")
        assert options.inspect == 760
        await pilot.press("left", "left")
        assert options.inspect is not None
        assert options.inspect < 760
        await until(pilot, lambda: " at " in screen_text(screen))
        await pilot.press("escape")
        assert options.inspect is None
        assert pilot.app.screen is screen


async def test_zoom_narrows_the_steps_and_equals_shows_all(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        options = screen.query_one(ChartGrid).options
        await pilot.press("plus", "plus", "plus")
        assert options.zoom == pytest.approx(1 / 8)
        await pilot.press("minus")
        assert options.zoom == pytest.approx(1 / 4)
        await pilot.press("equals_sign")
        assert options.zoom == 1.0


async def test_inspection_goes_from_one_logged_step_to_another(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        grid = screen.query_one(ChartGrid)
        steps = set(grid.panels[0].steps)
        for key in ("left",) * 12 + ("plus",) * 6 + ("left", "right") * 2 + ("right",) * 3:
            await pilot.press(key)
            assert grid.options.inspect is None or grid.options.inspect in steps


async def test_each_key_reads_another_step_however_near_the_zoom(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        options = screen.query_one(ChartGrid).options
        await pilot.press("left", *["plus"] * 9)
        for step in (750, 740, 730):
            await pilot.press("left")
            assert options.inspect == step
        await pilot.press("right")
        assert options.inspect == 740


async def test_the_steps_end_soon_after_the_newest_one(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (_, screen):
        view = screen.query_one(ChartGrid).panels[0].view
        assert (view.first, view.last) == (0, 1000)


async def test_a_zoom_is_a_part_of_the_steps_so_far_and_ends_with_the_newest(
    fixed_app: MakeApp, tmp_path: Path
) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        panel = screen.query_one(ChartGrid).panels[0]
        await pilot.press("plus", "plus")
        assert panel.view.last - panel.view.first == 250
        assert 760 <= panel.view.last <= 760 + 250 / 4
        await pilot.press("equals_sign")
        assert (panel.view.first, panel.view.last) == (0, 1000)


async def test_what_is_exact_is_not_smoothed(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.press("s", "full_stop")
        await until(pilot, lambda: "learning rate" in screen_text(screen))
        heading = next(line for line in screen_text(screen).splitlines() if "learning rate" in line)
        gradient_norm, _, learning_rate = heading.partition("learning rate")
        assert "smooth" in gradient_norm and "smooth" not in learning_rate


async def test_sites_can_be_told_apart(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        assert "mean of 3" in screen_text(screen)
        await pilot.press("v")
        await until(pilot, lambda: "layer 2" in screen_text(screen))


async def test_a_chart_can_have_all_the_room(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.press("tab", "enter")
        await until(pilot, lambda: "CE recovered" not in screen_text(screen))
        await pilot.press("escape")
        await until(pilot, lambda: "CE recovered" in screen_text(screen))


async def test_the_log_is_searched_from_the_end_round_to_the_start(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        log = screen.query_one("#log", TextView).pane
        await pilot.press("5", "slash", *"step 50", "enter")
        await until(pilot, lambda: "step 50" in log.current_text)
        first = log.current_text
        await pilot.press("n")
        assert log.current_text != first
        await pilot.press("N")
        assert log.current_text == first


async def test_settings_are_copied_as_json(fixed_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.press("6")
        await until(pilot, lambda: "context_length" in screen_text(screen))
        await pilot.press("y")
        await until(pilot, lambda: '"architecture": "topk"' in pilot.app.clipboard)


async def test_ascii_charts_have_no_braille(fixed_app: MakeApp, tmp_path: Path) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.press("f3")
        await until(pilot, lambda: not any("\u2801" <= letter <= "\u28ff" for letter in screen_text(screen)))


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (250, 70)])
async def test_every_tab_can_be_shown_in_any_size(fixed_app: MakeApp, tmp_path: Path, size: tuple[int, int]) -> None:
    async with opened(fixed_app, tmp_path) as (pilot, screen):
        await pilot.resize_terminal(*size)
        for key in "123456":
            await pilot.press(key)
            await pilot.pause()
            strips = screen._compositor.render_strips()
            assert [strip.cell_length for strip in strips] == [size[0]] * size[1]
