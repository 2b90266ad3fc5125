"""A key goes where the user means it, however the line delivers it: at once, or with pauses; on an idle and on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.events import Key

from saetui.tui import key_queue
from saetui.tui.key_queue import is_busy
from saetui.tui.screens.dialog import ErrorScreen
from saetui.tui.screens.help import HelpScreen
from saetui.tui.screens.pick import PickScreen
from saetui.tui.screens.templates import TemplatesScreen
from tests.tui.burst_program import BurstApp
from tests.tui.bursts import PAUSES, PLACES, BurstTerminal, Meant, busy_machine, wrong_bursts
from tests.tui.pressing import until


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BurstTerminal]:
    opened = BurstTerminal(tmp_path_factory.mktemp("bursts"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def meant(terminal: BurstTerminal) -> Meant:
    return Meant(terminal.home)


@pytest.mark.parametrize("place", PLACES)
def test_keys_in_one_packet_do_what_they_do_one_by_one(terminal: BurstTerminal, meant: Meant, place: str) -> None:
    assert wrong_bursts(terminal, meant, place, 0.0, range(1)) == []


@pytest.mark.slow
@pytest.mark.parametrize("pause", PAUSES)
@pytest.mark.parametrize("place", PLACES)
def test_random_bursts(terminal: BurstTerminal, meant: Meant, place: str, pause: float) -> None:
    assert wrong_bursts(terminal, meant, place, pause, range(10, 20 if pause == 0.0 else 13)) == []


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_random_bursts_while_the_machine_is_busy(terminal: BurstTerminal, meant: Meant, place: str) -> None:
    with busy_machine():
        assert wrong_bursts(terminal, meant, place, 0.0, range(10, 12)) == []


def test_a_search_in_one_packet_pauses_nothing(terminal: BurstTerminal) -> None:
    """Its letters are commands of the list: e opens a form, p pauses a job that runs."""
    state = terminal.type(["slash", *"sweep"], 0.0)
    terminal.begin_again()
    assert state["asked"] == []
    assert state["screens"] == ["JobsScreen"]
    assert state["jobs"][2] == "sweep"


async def test_a_screen_at_rest_is_seen_to_be_at_rest(tmp_path: Path) -> None:
    """`is_busy` reads what Textual keeps for itself: a version that keeps it otherwise must be noticed."""
    app = BurstApp(tmp_path)
    async with app.run_test() as pilot:
        await pilot.pause(0.3)
        pumps = [app, *app.screen.walk_children(with_self=True)]
        assert len(pumps) > 10
        assert [pump for pump in pumps if is_busy(pump)] == []
        app.screen.call_later(lambda: None)
        assert is_busy(app.screen)


async def test_what_a_question_leads_to_is_done_before_the_next_key(tmp_path: Path) -> None:
    """The stop is refused, and says so in a dialog: the key after the answer is for that dialog, however late it comes."""
    app = BurstApp(tmp_path)
    app.recorded.answers_after = 0.3
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.known and app.screen.focused)
        for key in ("S", "y", "n"):
            app.post_message(Key(key, key))
        await until(pilot, lambda: app.keys_taken == 3)
        await until(pilot, lambda: isinstance(app.screen, ErrorScreen))
        assert [type(screen).__name__ for screen in app.screen_stack] == ["JobsScreen", "ErrorScreen"]


async def test_a_key_that_never_ends_holds_up_the_keyboard_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor that hangs: what was typed ahead is left out and says so; later keys work at once."""
    monkeypatch.setattr(key_queue, "WAIT_SECONDS", 0.5)
    app = BurstApp(tmp_path)
    app.recorded.answers_after = 600.0
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.model.known and app.screen.focused)
        for key in ("p", "n"):
            app.post_message(Key(key, key))
        await until(pilot, lambda: app.state()["left_out"])
        assert len(app.screen_stack) == 1
        # What follows takes as long as a busy machine needs.
        monkeypatch.setattr(key_queue, "WAIT_SECONDS", 60.0)
        for key in ("question_mark", "escape", "t"):
            app.post_message(Key(key, None))
        await until(pilot, lambda: isinstance(app.screen, TemplatesScreen))
        assert len(app.state()["left_out"]) == 1


async def test_what_a_covered_screen_puts_off_holds_up_no_key(tmp_path: Path) -> None:
    """It is done when the screen is shown again; a key that waited for it would wait in vain, and be left out."""
    app = BurstApp(tmp_path)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.model.known)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        app.screen_stack[0].call_after_refresh(lambda: None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PickScreen))
        assert app.state()["left_out"] == []
