"""The command palette: the actions of the keys, found by their words."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from textual.command import CommandInput, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.events import Mount
from textual.screen import Screen

from saetui.tui.actions import ACTIONS, BY_BINDING, Action, Scope

_NOT_OFFERED = {"palette", "focus_next", "focus_previous", "back"}
_NO_MOVEMENT = {Scope.LIST, Scope.DIALOG}


class Palette(CommandPalette):
    """Textual's palette with saetui's actions, and a cursor at rest: a blink sends a whole line, twice a second."""

    def __init__(self) -> None:
        super().__init__(providers=[ActionCommands])

    def on_mount(self, _: Mount) -> None:
        self.query_one(CommandInput).cursor_blink = False


class ActionCommands(Provider):
    """Every action that can be done on the screen beneath."""

    async def discover(self) -> Hits:
        for action, node in self._actions():
            yield DiscoveryHit(_title(action), partial(self._do, action, node), help=_help(action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, node in self._actions():
            score = max(matcher.match(_title(action)), 0.6 * matcher.match(action.help))
            if score > 0:
                yield Hit(score, matcher.highlight(_title(action)), partial(self._do, action, node), help=_help(action))

    def _actions(self) -> Iterator[tuple[Action, DOMNode]]:
        seen: set[str] = set()
        found: list[tuple[Action, DOMNode]] = []
        for node, binding, enabled, _ in self.screen.active_bindings.values():
            action = BY_BINDING.get(binding.id or "")
            if (
                action is None
                or not enabled
                or action.id in _NOT_OFFERED
                or action.scope in _NO_MOVEMENT
                or action.binding_id in seen
            ):
                continue
            seen.add(action.binding_id)
            found.append((action, node))
        for action in ACTIONS:
            if not action.keys and _offers(self.screen, action):
                found.append((action, self.screen))
            elif action.scope is Scope.APP and action.id not in _NOT_OFFERED and action.binding_id not in seen:
                found.append((action, self.screen.app))  # the screen has its key for something else
        yield from sorted(found, key=lambda entry: list(BY_BINDING).index(entry[0].binding_id))

    async def _do(self, action: Action, node: DOMNode) -> None:
        await self.app.run_action(action.id, node)


def _offers(screen: Screen[Any], action: Action) -> bool:
    """Whether a screen has an action to which no key leads, and can do it now."""
    return hasattr(screen, f"action_{action.id}") and bool(screen.check_action(action.id, ()))


def _title(action: Action) -> str:
    return f"{action.scope.title}: {action.label}"


def _help(action: Action) -> str:
    return f"{action.shown_keys}   {action.help}" if action.keys else action.help
