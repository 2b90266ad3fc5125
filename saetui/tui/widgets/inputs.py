"""Text fields: the one-line input, its completion of names and paths, and the line that asks for a search text."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.geometry import Size
from textual.reactive import Reactive
from textual.suggester import Suggester
from textual.widgets import Input, Static

from saetui.formats.paths import why_no_path

_HELP_KEYS = "?:"


class FieldInput(Input):
    """A one-line input. In a number, `?` and `:` have no meaning and so open help and palette as elsewhere."""

    DEFAULT_CSS = """
    FieldInput.-textual-compact, FieldInput.-textual-compact:focus { height: 1; border: none; padding: 0 1; background: $panel; background-tint: $background 0%; color: $strong; }
    FieldInput.-textual-compact:focus { background: $cursor; }
    """

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)
    """Its place does not depend on its text: without this every key would lay out and send the whole screen anew."""

    def __init__(
        self, value: str = "", *, numeric: bool = False, placeholder: str = "", suggester: Suggester | None = None
    ) -> None:
        super().__init__(value, placeholder=placeholder, compact=True, suggester=suggester)
        self._numeric = numeric
        self.cursor_blink = False  # a blink is a repaint, twice a second, over a connection that may be slow

    @property
    def _value(self) -> Text:
        """The value as shown: a letter that a terminal would obey (a template may hold one) becomes a dot."""
        shown = "".join(letter if letter.isprintable() else "·" for letter in self.value)
        return Text(shown, no_wrap=True, overflow="ignore", end="")

    def check_consume_key(self, key: str, character: str | None) -> bool:
        if self._numeric and character is not None and character in _HELP_KEYS:
            return False
        return super().check_consume_key(key, character)

    async def _on_key(self, event: events.Key) -> None:
        if self._numeric and event.character is not None and event.character in _HELP_KEYS:
            event.prevent_default()


class AskingLine(Horizontal):
    """A label, a text field, and a note about what it found, to filter or to search; hidden until it is opened."""

    DEFAULT_CSS = """
    AskingLine { height: 1; display: none; background: $panel; }
    AskingLine Static { width: auto; color: $primary; padding: 0 1; }
    AskingLine Input { width: 1fr; }
    AskingLine .note { width: 1fr; color: $foreground; text-align: right; }
    """

    def __init__(self, label: str, placeholder: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self._note = ""
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        yield Static(self._label, markup=False)
        yield Input(placeholder=self._placeholder, compact=True)
        yield Static("", markup=False, classes="note")

    @property
    def field(self) -> Input:
        return self.query_one(Input)

    def open(self) -> None:
        """Show the line and put the focus in it."""
        self.display = True
        self.field.focus()

    def show_note(self, text: str) -> None:
        """Show a note at the right end; "" for none."""
        if text != self._note:
            self._note = text
            self.query_one(".note", Static).update(text, layout=False)

    def close(self) -> None:
        """Empty the line and hide it."""
        self.field.value = ""
        self.display = False


class PathSuggester(Suggester):
    """Completes known names, then paths of this machine; `→` accepts."""

    def __init__(self, known: tuple[str, ...] = ()) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._known = known

    async def get_suggestion(self, value: str) -> str | None:
        if not value:
            return None
        for name in self._known:
            if name.startswith(value) and name != value:
                return name
        return complete_path(value) if value.startswith(("/", "~", ".")) else None


def complete_path(text: str) -> str | None:
    """The first path that begins with a text; directories end in a slash. A name that cannot be printed is left out."""
    if why_no_path(text) is not None:
        return None
    head, slash, start = text.rpartition("/")
    folder = Path(head or ("/" if slash else ".")).expanduser()
    try:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    except OSError:
        return None
    shown = [name for name in names if name.startswith(start) and (start or not name.startswith("."))]
    return f"{head}{slash}{shown[0]}" if shown and shown[0].isprintable() else None
