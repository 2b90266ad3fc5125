"""The words of a template: its name and description, for a new one or to change."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from saetui.display.text import one_line
from saetui.formats.names import NAME_RULE, free_name, is_name
from saetui.jobs.templates import DESCRIPTION_LIMIT
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.field_row import FieldInput


@dataclass(frozen=True)
class TemplateWords:
    """What a template is called. An empty name: one is made from the spec."""

    name: str
    description: str


class SaveTemplateScreen(ModalScreen["TemplateWords | None"]):
    """Asks for a name and a description. None: cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.WORDS)]
    DEFAULT_CSS = """
    SaveTemplateScreen { align: center middle; }
    SaveTemplateScreen > .dialog { width: 76; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $line; }
    SaveTemplateScreen FieldInput, SaveTemplateScreen FieldInput:focus { width: 1fr; }
    SaveTemplateScreen .dialog-title { color: $primary; text-style: bold; margin-bottom: 1; }
    SaveTemplateScreen .label { color: $muted; }
    SaveTemplateScreen .said { color: $muted; margin-bottom: 1; }
    SaveTemplateScreen .said.-wrong { color: $error; }
    SaveTemplateScreen .dialog-keys { color: $muted; }
    """

    def __init__(
        self, title: str, *, suggested: str, taken: Collection[str], name: str = "", description: str = ""
    ) -> None:
        """
        Args:
            title: what is being done.
            suggested: the name that it gets when none is typed.
            taken: names that exist already.
            name, description: what stands there first.
        """
        super().__init__()
        self._heading = title
        self._suggested = suggested
        self._taken = taken
        self._name_input = FieldInput(name, numeric=False)
        self._name_input.placeholder = suggested
        self._description_input = FieldInput(description, numeric=False)
        self._description_input.placeholder = "optional"
        self._description_input.max_length = DESCRIPTION_LIMIT

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(one_line(self._heading)), classes="dialog-title")
            yield Static(Text("Name"), classes="label")
            yield self._name_input
            yield Static(Text(""), classes="said", id="name-said")
            yield Static(Text("Description"), classes="label")
            yield self._description_input
            yield Static(Text(""), classes="said", id="description-said")
            yield Static(Text("⏎ save   tab next field   esc cancel"), classes="dialog-keys")

    def on_mount(self) -> None:
        self._name_input.focus()
        self._say()

    def on_input_changed(self) -> None:
        self._say()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = self._name_input.value.strip()
        if name and not is_name(name):
            self._name_input.focus()
            return
        self.dismiss(TemplateWords(name, self._description_input.value.strip()))

    def action_next_word(self) -> None:
        self.focus_next()

    def action_word_before(self) -> None:
        self.focus_previous()

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _say(self) -> None:
        name = self._name_input.value.strip()
        wrong = bool(name) and not is_name(name)
        wanted = name or self._suggested
        if wrong:
            said = f"✗ A name is {NAME_RULE}."
        elif wanted in self._taken:
            said = f"That name is taken: it becomes {free_name(wanted, self._taken)}."
        else:
            said = "" if name else "Leave it empty for this name."
        widget = self.query_one("#name-said", Static)
        widget.update(Text(said))
        widget.set_class(wrong, "-wrong")
        length = len(self._description_input.value)
        self.query_one("#description-said", Static).update(
            Text(f"{length} of {DESCRIPTION_LIMIT} characters" if length else "")
        )
