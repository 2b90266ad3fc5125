"""One table of actions drives bindings, footer, help and palette: it must be whole and without contradiction."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import Counter
from pathlib import Path

import pytest
from textual.binding import Binding
from textual.dom import DOMNode

import saetui.tui
from saetui.tui.actions import ACTIONS, BY_BINDING, Action, Scope
from saetui.tui.app import SaetuiApp
from saetui.tui.screens.help import HelpList
from tests.tui import key_table
from tests.tui.conftest import MakeApp
from tests.tui.fixed import FixedSource
from tests.tui.pressing import screen_text, until
from tests.tui.runs import make_job


def _owners() -> dict[str, set[type[DOMNode]]]:
    """For each binding of the table, the classes that have it."""
    owners: dict[str, set[type[DOMNode]]] = {}
    for module in pkgutil.walk_packages(saetui.tui.__path__, "saetui.tui."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if not issubclass(found, DOMNode):
                continue
            for entry in vars(found).get("BINDINGS", ()):
                if isinstance(entry, Binding) and entry.id in BY_BINDING:
                    owners.setdefault(entry.id, set()).add(found)
    return owners


OWNERS = _owners()


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_has_one_meaning_in_a_scope(scope: Scope) -> None:
    keys = Counter(key for action in ACTIONS if action.scope is scope for key in action.keys.split(",") if key)
    assert [key for key, uses in keys.items() if uses > 1] == []


@pytest.mark.parametrize("action", [action for action in ACTIONS if action.keys], ids=lambda action: action.binding_id)
def test_every_action_has_a_handler_wherever_it_is_bound(action: Action) -> None:
    owners = OWNERS.get(action.binding_id, set())
    assert owners, "bound nowhere"
    for owner in owners:
        assert callable(getattr(owner, f"action_{action.id}", None)), owner


@pytest.mark.parametrize(
    "action", [action for action in ACTIONS if action.destructive], ids=lambda action: action.binding_id
)
def test_what_destroys_has_a_capital_letter(action: Action) -> None:
    assert action.keys.isupper()


def test_no_key_is_one_that_terminals_fold_into_another() -> None:
    folded = {"ctrl+m", "ctrl+i", "ctrl+h", "ctrl+j", "alt+enter", "shift+enter"}
    assert not folded & {key for action in ACTIONS for key in action.keys.split(",")}


def test_every_action_says_what_it_does_in_a_sentence() -> None:
    assert [
        action.binding_id for action in ACTIONS if not (action.help.endswith(".") and action.help[0].isupper())
    ] == []
    assert all(scope.title for scope in Scope)


async def test_help_lists_every_action_of_the_screen_and_its_widgets(fixed_app: MakeApp) -> None:
    async with fixed_app().run_test(size=(100, 40)) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: pilot.app.screen.query(HelpList))
        help_list = pilot.app.screen.query_one(HelpList)
        text = "\n".join(
            "".join(segment.text for segment in help_list.row(index, 100, False))
            for index in range(help_list.row_count())
        )
        for action in ACTIONS:
            if action.scope in (Scope.JOBS, Scope.LIST, Scope.APP):
                assert action.help.split()[0] in text
                assert action.label in text


async def test_the_palette_finds_an_action_by_its_words(fixed_app: MakeApp) -> None:
    app = fixed_app()
    async with app.run_test(size=(100, 40)) as pilot:
        theme = app.theme
        await pilot.press("ctrl+p", *"theme")
        await until(pilot, lambda: "Everywhere: theme" in screen_text(app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: app.theme != theme)


async def test_the_palette_has_what_no_key_leads_to(tmp_path: Path) -> None:
    """The demo beside other jobs; leaving for the shell, whose key means undo in the form."""
    app = SaetuiApp(FixedSource([make_job(tmp_path, 1)]), theme="saetui")
    async with app.run_test(size=(120, 60)) as pilot:
        await until(pilot, lambda: app.model.known)
        await pilot.press("colon")
        await until(pilot, lambda: "Jobs: demo" in screen_text(app.screen))
        await pilot.press("escape", "n", "ctrl+p")
        await until(pilot, lambda: "Everywhere: suspend" in screen_text(app.screen))
        assert "Jobs: demo" not in screen_text(app.screen)
    keyless = {action.binding_id for action in ACTIONS if not action.keys}
    assert keyless == {"jobs.demo"}


def test_the_table_of_keys_in_the_readme_is_the_table_of_actions() -> None:
    assert key_table.written() == key_table.table(), "python -m tests.tui.key_table writes it anew"
