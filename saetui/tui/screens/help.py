"""Help: the keys that work on the screen beneath, made from its bindings."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any, ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.strip import Strip

from saetui.tui.actions import BY_BINDING, Action, Scope, bindings_for
from saetui.tui.screens.dialog import Dialog
from saetui.tui.shell import Shell
from saetui.tui.widgets.line_canvas import line
from saetui.tui.widgets.line_list import Reading

_KEYS_WIDTH = 10
_LABEL_WIDTH = 14
_LABELS_FROM = 60
_FIRST_SCOPES = (
    Scope.JOBS, Scope.JOB, Scope.NEW, Scope.TEMPLATES, Scope.CHART, Scope.LOG, Scope.LIST, Scope.APP,
)  # fmt: skip


class HelpScreen(Dialog[None]):
    """Every key of the screen beneath, also those that have nothing to act on just now."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.HELP)]
    BOX_CLASSES = "dialog help"

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__("", "↑ ↓ scroll   enter pages: how saetui works   esc close")
        self._actions = actions_on(screen)

    def compose_body(self) -> ComposeResult:
        yield HelpList(self._actions)

    @work(group="dialog")
    async def action_pages(self) -> None:
        from saetui.tui.screens.page import PageScreen, page_entries
        from saetui.tui.screens.pick import PickScreen

        shell = cast("Shell", self.app)
        topic = await shell.ask(PickScreen("How saetui works", page_entries(), nothing="There are no pages."))
        if topic is not None:
            self.app.push_screen(PageScreen(topic))


class HelpList(Reading):
    """Groups of keys, each with a heading; long sentences go on in the next line."""

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        scopes = {action.scope for action in actions}
        order = [scope for scope in (*_FIRST_SCOPES, *Scope) if scope in scopes]
        self._groups = {scope: [action for action in actions if action.scope is scope] for scope in order}

    def lines(self, width: int) -> Sequence[Strip]:
        heading, key = self.colour("primary", bold=True), self.colour("strong", bold=True)
        label, muted = self.colour("foreground"), self.colour("muted")
        label_width = _LABEL_WIDTH if width >= _LABELS_FROM else 0
        room = max(20, width - _KEYS_WIDTH - label_width)
        rows: list[Strip] = []
        for scope, actions in self._groups.items():
            rows += [*([line()] if rows else []), line((scope.title, heading))]
            for action in actions:
                for index, part in enumerate(wrap(action.help, room)):
                    keys, name = (action.shown_keys, action.label) if index == 0 else ("", "")
                    rows.append(
                        line(
                            (keys.ljust(_KEYS_WIDTH), key),
                            (name.ljust(label_width)[:label_width], label),
                            (part, muted),
                        )
                    )
        return rows


def actions_on(screen: Screen[Any]) -> list[Action]:
    """The actions whose bindings a screen, its widgets and the app have, in the table's order."""
    nodes = [screen, *screen.query("*"), screen.app]
    ids = {
        binding.id or ""
        for node in nodes
        for bindings in node._bindings.key_to_bindings.values()
        for binding in bindings
    }
    return [action for binding_id, action in BY_BINDING.items() if binding_id in ids]
