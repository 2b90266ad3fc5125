"""The bottom line: the keys that matter now, as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip
from textual.widgets import Input

from saetui.tui.actions import BY_BINDING, Action, Scope, show_key
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

_ALWAYS = ("leave", "help")


class KeyLine(LineCanvas):
    """Keys and labels of the footer actions that can be done now, made from the actions' table."""

    DEFAULT_CSS = "KeyLine { dock: bottom; height: 1; padding: 0 1; background: $panel; }"

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.repaint())

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        key_style, label_style = self.colour("primary", bold=True), self.colour("muted")
        keys = self._keys()
        last = [entry for entry in keys if entry[0].id in _ALWAYS]
        first = [entry for entry in keys if entry[0].id not in _ALWAYS]
        while first and _width(first + last) > width:
            first.pop()
        pieces: list[Piece] = []
        for action, key in first + last:
            pieces += [(show_key(key), key_style), (f" {action.label}   ", label_style)]
        return [line(*pieces)]

    def _keys(self) -> list[tuple[Action, str]]:
        """Each action with the first of its keys that works now: of the focused widget, of the screen, of the app."""
        typing = isinstance(self.screen.focused, Input)
        working: dict[Action, set[str]] = {}
        for key, (_, binding, enabled, _) in self.screen.active_bindings.items():
            action = BY_BINDING.get(binding.id or "")
            if action is not None and action.footer and enabled and not (typing and _types_a_letter(key)):
                working.setdefault(action, set()).add(key)
        if self.screen is self.app.screen_stack[0] and not typing:
            working.pop(BY_BINDING["app.back"], None)
        found = [
            (action, next(key for key in action.keys.split(",") if key in keys)) for action, keys in working.items()
        ]
        return sorted(found, key=lambda entry: entry[0].scope is Scope.APP)


def _types_a_letter(key: str) -> bool:
    """Whether a text field takes the key for itself."""
    shown = show_key(key)
    return key == "space" or (len(shown) == 1 and shown.isascii())


def _width(entries: Sequence[tuple[Action, str]]) -> int:
    return sum(len(show_key(key)) + len(action.label) + 4 for action, key in entries) - 3
