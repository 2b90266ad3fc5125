"""The help of a screen, and the pages that it leads to."""

from __future__ import annotations

import pytest

from saetui.docs import read_topic, topics
from saetui.tui.screens.help import HelpScreen
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.screens.page import Page, PageScreen
from saetui.tui.screens.pick import PickScreen
from tests.tui.conftest import MakeApp
from tests.tui.pressing import screen_text, until


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_pages_are_chosen_read_scrolled_and_left_by_keys(fixed_app: MakeApp, size: tuple[int, int]) -> None:
    app = fixed_app()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.model.known)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        listed = screen_text(app.screen)
        assert [page.name for page in topics() if page.title not in listed] == []
        await pilot.press(*"figures", "enter")
        await until(pilot, lambda: isinstance(app.screen, PageScreen))
        await until(pilot, lambda: "What the figures mean" in screen_text(app.screen))
        assert "##" not in screen_text(app.screen), "Markdown is drawn"
        await pilot.press("G")
        last = read_topic("figures").text.rstrip().splitlines()[-1].split()[-1].strip(".`")
        await until(pilot, lambda: last in screen_text(app.screen))
        assert "What the figures mean" not in screen_text(app.screen)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))


@pytest.mark.parametrize("topic", [page.name for page in topics()])
async def test_each_page_fits_a_narrow_terminal(fixed_app: MakeApp, topic: str) -> None:
    app = fixed_app()
    async with app.run_test(size=(60, 20)) as pilot:
        app.push_screen(PageScreen(topic))
        await until(pilot, lambda: isinstance(app.screen, PageScreen))
        await until(pilot, lambda: app.screen.query(Page) and app.screen.query_one(Page).row_count() > 20)
        page = app.screen.query_one(Page)
        assert {page.row(index, 60, False).cell_length for index in range(page.row_count())} == {
            page.content_size.width
        }
