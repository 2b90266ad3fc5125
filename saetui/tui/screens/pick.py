"""Choosing one of several by typing a few of its letters; where that is allowed, something that is not in the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widgets import Input, Static

from saetui.catalog.datasets import list_datasets
from saetui.catalog.models import list_models
from saetui.display import figures
from saetui.display.text import fit, one_line, shorten
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft_check import PathSuggester
from saetui.tui.widgets.field_row import FieldInput
from saetui.tui.widgets.line_canvas import filled, line
from saetui.tui.widgets.line_list import LineList


@dataclass(frozen=True)
class PickEntry:
    """One thing to choose. `value` is the result; `label` and `detail` are shown."""

    value: str
    label: str
    detail: str = ""


class PickScreen(ModalScreen["str | None"]):
    """A list with a search. The result is the value chosen or typed; None: nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.PICK)]
    DEFAULT_CSS = """
    PickScreen { align: center middle; }
    PickScreen > .dialog { width: 76; max-width: 94%; height: auto; max-height: 80%; padding: 1 2; background: $surface; border: round $line; }
    PickScreen FieldInput, PickScreen FieldInput:focus { width: 1fr; margin: 1 0; }
    PickScreen PickList { height: auto; max-height: 14; }
    PickScreen .dialog-title { color: $primary; text-style: bold; }
    PickScreen .dialog-keys { color: $muted; margin-top: 1; }
    """

    def __init__(
        self, title: str, entries: Sequence[PickEntry], *, free: str = "", current: str = "", nothing: str = ""
    ) -> None:
        """
        Args:
            title: what is being chosen.
            entries: what there is.
            free: what else may be typed, e.g. `the path of a directory`; empty: nothing else.
            current: the value that stands there now.
            nothing: said where there are no entries.
        """
        super().__init__()
        self._heading = title
        self._free = free
        self._list = PickList(entries, current, free, nothing)
        self._input = FieldInput("", numeric=False, suggester=PathSuggester() if free else None)
        self._input.placeholder = f"type to search, or {free}" if free else "type to search"

    def compose(self) -> ComposeResult:
        keys = "⏎ choose   ↑↓ move   esc cancel" + ("   → complete a path" if self._free else "")
        with Vertical(classes="dialog"):
            yield Static(Text(one_line(self._heading)), classes="dialog-title")
            yield self._input
            yield self._list
            yield Static(Text(keys), classes="dialog-keys")

    def on_mount(self) -> None:
        self._input.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list.search(event.value)

    def on_input_submitted(self) -> None:
        chosen = self._list.chosen()
        if chosen is not None:
            self.dismiss(chosen)
        elif self._free and self._input.value.strip():
            self.dismiss(self._input.value.strip())

    def action_pick_next(self) -> None:
        self._list.action_cursor_down()

    def action_pick_before(self) -> None:
        self._list.action_cursor_up()

    def action_cancel(self) -> None:
        self.dismiss(None)


class PickList(LineList, can_focus=False):
    """The entries that have the typed letters."""

    def __init__(self, entries: Sequence[PickEntry], current: str, free: str, nothing: str) -> None:
        super().__init__()
        self._all = tuple(entries)
        self._shown = self._all
        self._text = ""
        self._free = free
        self._nothing = nothing
        self.cursor = next((index for index, entry in enumerate(self._all) if entry.value == current), 0)
        self.styles.height = max(1, min(14, len(self._all)))

    def search(self, text: str) -> None:
        """Show the entries in which every word of the text occurs."""
        self._text = text
        words = text.lower().split()
        self._shown = tuple(
            entry for entry in self._all if all(word in f"{entry.label} {entry.detail}".lower() for word in words)
        )
        self.cursor = 0
        self.repaint()

    def chosen(self) -> str | None:
        """The value under the cursor."""
        return self._shown[self.cursor].value if self._shown else None

    def row_count(self) -> int:
        return len(self._shown)

    def row(self, index: int, width: int, selected: bool) -> Strip:
        entry = self._shown[index]
        room = max(20, min(36, max((len(known.label) for known in self._all), default=0) + 2))
        on = "cursor" if selected else ""
        return filled(
            line(
                ("▌ " if selected else "  ", self.colour("primary", on=on)),
                (fit(entry.label, room), self.colour("strong" if selected else "foreground", bold=selected, on=on)),
                ("  ", self.colour("muted", on=on)),
                (shorten(entry.detail, max(0, width - room - 4)), self.colour("muted", on=on)),
            ),
            width,
            self.colour("muted", on=on),
        )

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        if not self._all and not self._text:
            said = self._nothing
        elif self._free:
            said = f"⏎ takes it as {self._free}"
        else:
            said = "nothing has these letters"
        return [line((f"  {said}", self.colour("muted")))]


def model_entries() -> list[PickEntry]:
    """The models that are here. Reads files: not for an event loop.

    Raises:
        ModelError: not even the bundled one can be read.
    """
    return [
        PickEntry(
            info.reference,
            one_line(info.reference),
            f"{info.num_layers} layers × {info.hidden_size} · {info.family} · {figures.size(info.size_bytes)}",
        )
        for info in list_models()
    ]


def dataset_entries() -> list[PickEntry]:
    """The datasets that are here. Reads files: not for an event loop.

    Raises:
        DatasetError: not even the bundled one can be read.
    """
    return [
        PickEntry(info.source, one_line(info.source), f"{info.description} · {figures.size(info.size_bytes)}")
        for info in list_datasets()
    ]
