"""Asks for a template's name and description, for a new one or to change them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Input, Static

from saetui.formats.names import NAME_RULE, free_name, is_name
from saetui.jobs.templates import DESCRIPTION_LIMIT
from saetui.tui.screens.dialog import FormDialog
from saetui.tui.widgets.inputs import FieldInput


@dataclass(frozen=True)
class TemplateWords:
    """A template's name and description. An empty name: one is made from the spec."""

    name: str
    description: str


class SaveTemplateScreen(FormDialog[TemplateWords | None]):
    """Asks for a name and a description. None: cancelled."""

    DEFAULT_CSS = """
    SaveTemplateScreen .label { color: $muted; }
    SaveTemplateScreen .dialog-title { margin-bottom: 1; }
    SaveTemplateScreen #name-note { margin-bottom: 1; }
    """

    def __init__(
        self,
        title: str,
        *,
        suggested: str,
        taken: Collection[str],
        name: str = "",
        description: str = "",
        replaces: str = "",
    ) -> None:
        """
        Args:
            title: of the dialog.
            suggested: the name that the template gets when none is typed.
            taken: names of other templates.
            name, description: to begin with.
            replaces: the name of the user's own template that is changed if its name is kept.
        """
        super().__init__(title, "⏎ save   tab next field   esc cancel")
        self._suggested = suggested
        self._taken = taken
        self._replaces = replaces
        self._name_input = FieldInput(name, placeholder=suggested)
        self._description_input = FieldInput(description, placeholder="optional")
        self._description_input.max_length = DESCRIPTION_LIMIT

    def compose_body(self) -> ComposeResult:
        yield Static(Text("Name"), classes="label")
        yield self._name_input
        yield Static(Text(""), classes="dialog-note", id="name-note")
        yield Static(Text("Description"), classes="label")
        yield self._description_input
        yield Static(Text(""), classes="dialog-note", id="description-note")

    def on_mount(self) -> None:
        self._name_input.focus()
        self.on_input_changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        name = self._name_input.value.strip()
        if name and not is_name(name):
            self._name_input.focus()
            return
        self.dismiss(TemplateWords(name, self._description_input.value.strip()))

    def on_input_changed(self) -> None:
        name = self._name_input.value.strip()
        wanted = name or self._suggested
        if name and not is_name(name):
            self.show_note("#name-note", f"A name is {NAME_RULE}.", wrong=True)
        elif self._replaces and wanted == self._replaces:
            self.show_note("#name-note", "This template gets these settings. Another name makes a new one.")
        elif wanted in self._taken:
            self.show_note("#name-note", f"This name is taken: {free_name(wanted, self._taken)} is used instead.")
        else:
            self.show_note("#name-note", "" if name else "Leave the field empty to use this name.")
        length = len(self._description_input.value)
        self.show_note("#description-note", f"{length} of {DESCRIPTION_LIMIT} characters" if length else "")
