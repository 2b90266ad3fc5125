"""One line that asks for letters: what to filter by, what to find."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input, Static


class AskingLine(Horizontal):
    """A label and a text field; hidden until it is opened."""

    DEFAULT_CSS = """
    AskingLine { height: 1; display: none; background: $panel; }
    AskingLine Static { width: auto; color: $primary; padding: 0 1; }
    AskingLine Input { width: 1fr; }
    """

    def __init__(self, label: str, placeholder: str, *, id: str) -> None:
        super().__init__(id=id)
        self._label = label
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        yield Static(self._label, markup=False)
        yield Input(placeholder=self._placeholder, compact=True)

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    def open(self) -> None:
        """Show it and let the user type."""
        self.display = True
        self.field.focus()

    def close(self) -> None:
        """Empty it and hide it."""
        self.field.value = ""
        self.display = False
