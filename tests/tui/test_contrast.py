"""Every word on every screen can be read in every theme: contrast of the cells that are really drawn."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.color import Color
from textual.geometry import Region
from textual.pilot import Pilot

from saetui.tui.app import SaetuiApp
from saetui.tui.screens.jobs import JobsScreen
from saetui.tui.theme import OFFERED_THEMES, READABLE, contrast
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import busy_home

# What keys open, from the list of jobs, and a text that then is there.
SCREENS = {
    "jobs": ((), "sweep-k-64"),
    "job": (("enter",), "[1 charts]"),
    "sites": (("enter", "2"), "layer_1.resid_post"),
    "checkpoints": (("enter", "3"), "[3 checkpoints]"),
    "events": (("enter", "4"), "[4 events]"),
    "log": (("enter", "5"), "of the training"),
    "settings of a job": (("enter", "6"), "[6 settings]"),
    "a failed job": (("G", "k", "enter"), "gemma-l12"),
    "form": (("n",), "architecture"),
    "errors of the form": (("n", "G", "tab", "tab", "x", "ctrl+g"), "New training"),
    "templates": (("t",), "Templates"),
    "settings": (("comma",), "refresh"),
    "help": (("question_mark",), "Mark the highlighted job"),
    "stop": (("S",), "Stop"),
    "charts": (("w",), "Charts that come first"),
    "palette": (("colon",), "Search"),
    "filter": (("slash", "t", "i"), "filter"),
}


def unreadable(pilot: Pilot[Any], expected: str) -> set[tuple[str, str, str, float]]:
    """Words with too little contrast: (text, colour, ground, ratio).

    Args:
        expected: a text that must be among the words that are looked at: those of the screen, or of the dialog that dims it.
    """
    screen = pilot.app.screen
    shown = Region.from_union([widget.region for widget in screen.query("*") if widget.region.area])
    strips = [strip.crop(shown.x, shown.right) for strip in screen._compositor.render_strips()[shown.y : shown.bottom]]
    assert expected in "\n".join(strip.text for strip in strips)
    found = set()
    for text, style, _ in (segment for strip in strips for segment in strip):
        if style is None or not any(letter.isalnum() for letter in text):
            continue
        front, ground = (style.bgcolor, style.color) if style.reverse else (style.color, style.bgcolor)
        assert front is not None and ground is not None, text
        ratio = contrast(Color.from_rich_color(front), Color.from_rich_color(ground))
        if ratio < READABLE:
            found.add((text.strip(), front.name, ground.name, round(ratio, 2)))
    return found


def _shows(app: SaetuiApp, text: str) -> bool:
    return text in screen_text(app.screen)


# The sixteen colours of saetui-ansi are the terminal's own: nobody here knows them.
THEMES = [
    pytest.param(name, marks=[] if name in ("saetui", "textual-light") else pytest.mark.slow)
    for name in OFFERED_THEMES
    if name != "saetui-ansi"
]


@pytest.mark.parametrize("theme", THEMES)
async def test_every_word_can_be_read(theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    app = SaetuiApp(FixedSource(busy_home(tmp_path)), theme=theme)
    bad = {}
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "sweep-k-64" in screen_text(app.screen))
        for name, (keys, text) in SCREENS.items():
            await pilot.press(*keys)
            await until(pilot, partial(_shows, app, text), name)
            if found := unreadable(pilot, text):
                bad[name] = found
            while not isinstance(app.screen, JobsScreen):
                app.screen.dismiss(None) if app.screen.is_modal else app.pop_screen()
                await pilot.pause()
            app.screen.step_back()
            await pilot.press("g")
    assert not bad
