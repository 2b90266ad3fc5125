"""Choosing from a list by typing a few letters; where that is allowed, also a value that is not in the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip
from textual.widgets import Input

from saetui.catalog.datasets import list_datasets
from saetui.catalog.models import list_models
from saetui.display.figures import size
from saetui.display.text import fit, one_line, shorten
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.screens.dialog import Dialog
from saetui.tui.widgets.inputs import FieldInput, PathSuggester
from saetui.tui.widgets.line_canvas import filled, line
from saetui.tui.widgets.line_list import LineList

_LONGEST = 14


@dataclass(frozen=True)
class PickEntry:
    """One choice. `value` is the result; `label` and `detail` are shown."""

    value: str
    label: str
    detail: str = ""


class PickScreen(Dialog[str | None]):
    """A list with a search. The result is the value chosen or typed; None: cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.PICK)]
    DEFAULT_CSS = """
    PickScreen FieldInput { margin: 1 0; }
    PickScreen PickList { height: auto; }
    """

    def __init__(
        self, title: str, entries: Sequence[PickEntry], *, free: str = "", current: str = "", nothing: str = ""
    ) -> None:
        """
        Args:
            title: of the dialog.
            entries: the choices.
            free: what else may be typed, e.g. `the path of a directory`; empty: nothing else.
            current: the present value.
            nothing: shown where there are no entries.
        """
        super().__init__(title, "⏎ choose   ↑↓ move   esc cancel" + ("   → complete a path" if free else ""))
        self._free = free
        self._list = PickList(entries, current, free, nothing)
        self._input = FieldInput(
            placeholder=f"type to search, or {free}" if free else "type to search",
            suggester=PathSuggester() if free else None,
        )

    def compose_body(self) -> ComposeResult:
        yield self._input
        yield self._list

    def on_mount(self) -> None:
        self._input.focus()

    def fit_body(self, rows: int) -> None:
        field = self._input.outer_size.height + self._input.styles.margin.height
        self._list.styles.max_height = max(1, rows - field)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list.search(event.value)

    def on_input_submitted(self) -> None:
        chosen = self._list.chosen() or (self._input.value.strip() if self._free else "")
        if chosen:
            self.dismiss(chosen)

    def action_pick_next(self) -> None:
        self._list.action_cursor_down()

    def action_pick_before(self) -> None:
        self._list.action_cursor_up()


class PickList(LineList, can_focus=False):
    """The entries that contain the typed words."""

    def __init__(self, entries: Sequence[PickEntry], current: str, free: str, nothing: str) -> None:
        super().__init__()
        self._entries = tuple(entries)
        self._shown = self._entries
        self._label_width = max(20, min(36, max((len(entry.label) for entry in entries), default=0) + 2))
        self._no_match = f"⏎ takes it as {free}" if free else "no match"
        self._nothing = nothing
        self._text = ""
        self.cursor = next((index for index, entry in enumerate(entries) if entry.value == current), 0)
        self.styles.height = max(1, min(_LONGEST, len(entries)))

    def search(self, text: str) -> None:
        """Show the entries that contain every word of the text."""
        self._text = text
        words = text.lower().split()
        self._shown = tuple(
            entry for entry in self._entries if all(word in f"{entry.label} {entry.detail}".lower() for word in words)
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
        on = "cursor" if selected else ""
        muted = self.colour("muted", on=on)
        label = self.colour("strong" if selected else "foreground", bold=selected, on=on)
        detail = shorten(entry.detail, max(0, width - self._label_width - 4))
        pieces = (self.cursor_mark(selected, on), (fit(entry.label, self._label_width), label), (f"  {detail}", muted))
        return filled(line(*pieces), width, muted)

    def empty(self, width: int, height: int) -> Sequence[Strip]:
        text = self._no_match if self._entries or self._text else self._nothing
        return [line((f"  {text}", self.colour("muted")))]


def model_entries() -> list[PickEntry]:
    """The models on this machine. Reads files: not for an event loop.

    Raises:
        ModelError: not even the bundled one can be read.
    """
    return [
        PickEntry(
            info.reference,
            one_line(info.reference),
            f"{info.num_layers} layers × {info.hidden_size} · {info.family} · {size(info.size_bytes)}",
        )
        for info in list_models()
    ]


def dataset_entries() -> list[PickEntry]:
    """The datasets on this machine. Reads files: not for an event loop.

    Raises:
        DatasetError: not even the bundled one can be read.
    """
    return [
        PickEntry(info.source, one_line(info.source), f"{info.description} · {size(info.size_bytes)}")
        for info in list_datasets()
    ]
