"""Dialogs: one to decide, which starts on Cancel, and one to read an error, with copy."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from saetui.display.text import one_line
from saetui.tui.actions import Scope, bindings_for


class ConfirmScreen(ModalScreen[bool]):
    """Asks before something is lost. The focus starts on Cancel, so that a stray Enter does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.DIALOG)]

    def __init__(self, question: str, detail: str = "", *, do: str = "Yes", cancel: str = "Cancel") -> None:
        super().__init__()
        self._question = question
        self._detail = detail
        self._do = do
        self._cancel = cancel

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(one_line(self._question)), classes="dialog-title")
            if self._detail:
                yield Static(Text(plain_lines(self._detail)), classes="dialog-text")
            with Horizontal(classes="dialog-buttons"):
                yield Button(Text(self._cancel), id="cancel")
                yield Button(Text(self._do), id="do", classes="destructive")

    def on_mount(self) -> None:
        self.query_one("#cancel").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "do")

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def action_left(self) -> None:
        self.focus_previous()

    def action_right(self) -> None:
        self.focus_next()


class ErrorScreen(ModalScreen[None]):
    """An error to read: what is wrong, what to do, and `y` to copy it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.REPORT)]

    def __init__(self, title: str, message: str, suggestion: str | None = None) -> None:
        super().__init__()
        self._heading = title
        self._message = message
        self._suggestion = suggestion

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog error"):
            yield Static(Text(one_line(self._heading)), classes="dialog-title")
            yield Static(Text(plain_lines(self._message)), classes="dialog-text")
            if self._suggestion:
                yield Static(Text(plain_lines(self._suggestion)), classes="dialog-hint")
            yield Static(Text("y copy    esc close"), classes="dialog-keys")

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(part for part in (self._heading, self._message, self._suggestion) if part))
        self.notify("Copied.")

    def action_close(self) -> None:
        self.dismiss(None)


def plain_lines(text: str) -> str:
    """Several lines, each made harmless."""
    return "\n".join(one_line(part) for part in text.split("\n"))
