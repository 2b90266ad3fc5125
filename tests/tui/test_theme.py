"""What a terminal with few colours gets; states are told without colour."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.color import Color

from saetui.jobs.job import Status
from saetui.tui.app import SaetuiApp
from saetui.tui.terminal import CLIPBOARD_LIMIT, copied_note
from saetui.tui.theme import OFFERED_THEMES, STATE_STYLES, VARIABLES, offered_theme, theme_for_terminal
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import busy_home


@pytest.mark.parametrize(
    ("environment", "theme"),
    [
        ({"TERM": "xterm-256color"}, "saetui"),
        ({"TERM": "linux", "COLORTERM": "truecolor"}, "saetui"),
        ({"TERM": "linux"}, "saetui-ansi"),
        ({"TERM": "xterm"}, "saetui-ansi"),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, "saetui-ansi"),
    ],
)
def test_the_theme_suits_the_terminal(environment: dict[str, str], theme: str) -> None:
    assert theme_for_terminal(environment) == theme


def test_every_state_has_a_glyph_and_a_word_of_its_own() -> None:
    assert set(STATE_STYLES) == set(Status)
    assert len({style.glyph for style in STATE_STYLES.values()}) == len(Status)
    assert len({style.word for style in STATE_STYLES.values()}) == len(Status)


@pytest.mark.parametrize("theme", OFFERED_THEMES)
def test_every_theme_has_every_variable(theme: str) -> None:
    assert set(VARIABLES) <= set(offered_theme(theme).variables)


@pytest.mark.parametrize("theme", OFFERED_THEMES)
async def test_the_screens_can_be_shown_in_every_theme(theme: str, tmp_path: Path) -> None:
    app = SaetuiApp(FixedSource(busy_home(tmp_path)), theme=theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "sweep-k-64" in screen_text(app.screen))


async def test_no_color_means_no_colour_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = SaetuiApp(FixedSource(busy_home(tmp_path)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "sweep-k-64" in screen_text(app.screen))
        styles = {style for strip in app.screen._compositor.render_strips() for _, style, _ in strip if style}
        assert {style.color for style in styles} | {style.bgcolor for style in styles} <= {None, Color.parse("default")}


def test_too_long_a_text_is_not_copied_and_that_is_said() -> None:
    note, severity = copied_note("x" * (CLIPBOARD_LIMIT + 1), "The settings", {})
    assert severity == "warning"
    assert "too many" in note


def test_under_tmux_the_user_is_told_what_tmux_needs() -> None:
    assert "set-clipboard" in copied_note("x", "The path", {"TMUX": "1"})[0]
    assert "set-clipboard" not in copied_note("x", "The path", {})[0]
