"""Dialogs: the common box, one to decide, which starts on Cancel, and one to read an error."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from saetui.display.text import one_line
from saetui.tui.actions import Scope, bindings_for

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A box with a title, a body and a line of keys. Closed without an answer, the result is None.

    A body that is too high for the window scrolls; title, buttons and keys stay in view.
    """

    BOX_CLASSES: ClassVar[str] = "dialog"
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, title: str, keys: str = "") -> None:
        super().__init__()
        self._heading = title
        self._keys = keys

    def compose(self) -> ComposeResult:
        with Vertical(classes=self.BOX_CLASSES):
            if self._heading:
                yield Static(Text(one_line(self._heading)), classes="dialog-title")
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield from self.compose_body()
            yield from self.compose_foot()

    def compose_body(self) -> ComposeResult:
        """The part between the title and the foot."""
        yield from ()

    def compose_foot(self) -> ComposeResult:
        """Buttons or keys, which are always in view."""
        if self._keys:
            yield Static(Text(self._keys), classes="dialog-keys")

    def on_resize(self) -> None:
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        """Give the body the rows that title and foot leave."""
        box = self.query_one(".dialog")
        body = box.query_one(".dialog-body")
        most = self.size.height if self.has_class("-low") else int(0.9 * self.size.height)
        others = [child for child in box.children if child is not body]
        taken = sum(child.outer_size.height + child.styles.margin.height for child in others)
        self.fit_body(max(1, most - box.gutter.height - body.styles.margin.height - taken))

    def fit_body(self, rows: int) -> None:
        """The body may take so many rows."""
        self.query_one(".dialog-body").styles.max_height = rows

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_close(self) -> None:
        self.dismiss(None)


class FormDialog(Dialog[Result]):
    """A dialog with text fields."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.WORDS)]

    def action_next_word(self) -> None:
        self.focus_next()

    def action_word_before(self) -> None:
        self.focus_previous()

    def show_note(self, selector: str, note: str, *, wrong: bool = False) -> None:
        """Show a note under a field. `wrong`: the field's value cannot be taken."""
        widget = self.query_one(selector, Static)
        widget.update(Text(f"✗ {one_line(note)}" if wrong else note))
        widget.set_class(wrong, "-wrong")


class ReportDialog(Dialog[None]):
    """A dialog to read; `y` copies its text."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.REPORT)]

    def __init__(self, title: str, keys: str = "y copy   esc close") -> None:
        super().__init__(title, keys)

    def text_to_copy(self) -> str:
        raise NotImplementedError

    def read_body(self) -> None:
        """Let the keys of movement scroll the body."""
        body = self.query_one(".dialog-body")
        body.can_focus = True
        body.focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.text_to_copy())
        self.notify("Copied.")


class ErrorScreen(ReportDialog):
    """An error to read: what went wrong, and the way out."""

    BOX_CLASSES = "dialog error"

    def __init__(self, title: str, message: str, suggestion: str | None = None) -> None:
        super().__init__(title)
        self._message = message
        self._suggestion = suggestion

    def compose_body(self) -> ComposeResult:
        yield Static(Text(_plain_lines(self._message)), classes="dialog-text")
        if self._suggestion:
            yield Static(Text(_plain_lines(self._suggestion)), classes="dialog-hint")

    def on_mount(self) -> None:
        self.read_body()

    def text_to_copy(self) -> str:
        return "\n".join(part for part in (self._heading, self._message, self._suggestion) if part)


class ConfirmScreen(Dialog[bool]):
    """Asks before something is lost. The focus starts on Cancel, so that a stray Enter does nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.DIALOG)]

    def __init__(self, question: str, detail: str = "", *, do: str = "Yes", cancel: str = "Cancel") -> None:
        super().__init__(question)
        self._detail = detail
        self._do = do
        self._cancel = cancel

    def compose_body(self) -> ComposeResult:
        if self._detail:
            yield Static(Text(_plain_lines(self._detail)), classes="dialog-text")

    def compose_foot(self) -> ComposeResult:
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


def _plain_lines(text: str) -> str:
    """Several lines, each without control characters."""
    return "\n".join(one_line(part) for part in text.split("\n"))
