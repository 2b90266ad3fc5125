"""What has the focus is on the screen, and a dialog's buttons are, however small the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from saetui.jobs.templates import BUILTIN_TEMPLATES
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.dialog import ConfirmScreen, Dialog
from saetui.tui.screens.new_training import NewTrainingScreen
from saetui.tui.screens.too_small import TooSmallScreen
from tests.slow import slow_but
from tests.tui.bursts import PLACES
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import busy_home

SIZES = ["40x12", "60x16", "80x24", "120x40"]
DIALOGS = {
    "stop": ("S",), "delete": ("G", "D"), "model": ("n", "enter"), "save": ("n", "ctrl+s"), "import": ("t", "i"),
    "export": ("t", "e"), "help": ("question_mark",), "page": ("question_mark", "enter", "enter"),
}  # fmt: skip


async def opened(pilot: Pilot[None]) -> SaetuiApp:
    app = pilot.app
    assert isinstance(app, SaetuiApp)
    await until(pilot, lambda: app.model.known and app.screen.focused)
    return app


def cells(size: str) -> tuple[int, int]:
    """Columns and rows, from such as `80x24`."""
    columns, _, rows = size.partition("x")
    return int(columns), int(rows)


def make_app(folder: Path) -> SaetuiApp:
    return SaetuiApp(FixedSource(busy_home(folder), BUILTIN_TEMPLATES), theme="saetui")


def seen_whole(app: SaetuiApp, widget: Widget) -> bool:
    """Whether every row of a widget, or as many as its screen has, is drawn."""
    visible = app.screen._compositor.visible_widgets.get(widget)
    return visible is not None and visible[0].intersection(visible[1]).height >= min(1, widget.region.height)


@pytest.mark.parametrize("size", slow_but(["40x12"], SIZES))
async def test_the_focused_field_of_the_form_is_on_the_screen(tmp_path: Path, size: str) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=cells(size)) as pilot:
        await opened(pilot)
        await pilot.press("n")
        assert isinstance(app.screen, NewTrainingScreen)
        hidden = []
        presses = ["pagedown"] * 7 + ["pageup"] * 7 + ["down"] * 22 + ["up"] * 6
        wrong = ["pagedown", "pagedown", "x", "pagedown", "x", "pagedown", "0", "ctrl+e", "pagedown", "ctrl+g"]
        for number, key in enumerate([*wrong, *presses]):
            await pilot.press(key)
            await pilot.pause(0.02)
            focused = app.focused
            assert focused is not None
            if not seen_whole(app, focused):
                hidden.append((number, key, focused))
        assert hidden == []


@pytest.mark.parametrize("size", slow_but(["40x10"], ["40x10", *SIZES]))
@pytest.mark.parametrize("keys", DIALOGS.values(), ids=DIALOGS.keys())
async def test_a_dialog_keeps_its_focus_and_its_foot_in_view(tmp_path: Path, keys: tuple[str, ...], size: str) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=cells(size)) as pilot:
        await opened(pilot)
        for key in keys:
            await pilot.press(key)
        dialog = app.screen
        assert isinstance(dialog, Dialog)
        await pilot.pause(0.1)
        assert app.focused is not None
        assert seen_whole(app, app.focused)
        foot = dialog.query("#cancel, #do" if isinstance(dialog, ConfirmScreen) else ".dialog-keys")
        assert foot
        assert [widget for widget in foot if not seen_whole(app, widget)] == []


@pytest.mark.parametrize("place", PLACES)
async def test_a_window_that_is_too_small_says_so_and_takes_no_key(tmp_path: Path, place: str) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        for key in PLACES[place].opening:
            await pilot.press(key)
        before = list(app.screen_stack)
        focused = app.focused
        await pilot.resize_terminal(30, 6)
        await until(pilot, lambda: isinstance(app.screen, TooSmallScreen))
        assert "saetui needs 40×10" in screen_text(app.screen)
        await pilot.press("n", "enter", "escape", "p", "D", "pageup", "x")
        assert app.screen_stack == [*before, app.screen]
        await pilot.resize_terminal(120, 40)
        await until(pilot, lambda: app.screen_stack == before)
        assert app.focused is focused


async def test_a_program_that_starts_in_a_small_window_says_so(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with app.run_test(size=(20, 5)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TooSmallScreen))
        await pilot.press("q")
        assert not app.is_running
