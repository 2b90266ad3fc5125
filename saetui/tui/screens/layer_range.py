"""Asks which layers: numbers and ranges in one line."""

from __future__ import annotations

from collections.abc import Collection

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from saetui.errors import InvalidInput
from saetui.spec.editing import read_layers
from saetui.tui.screens.dialog import FormDialog
from saetui.tui.widgets.inputs import FieldInput


class LayerRangeScreen(FormDialog[tuple[int, ...] | None]):
    """Layers that the user types, e.g. `0-11`. None: cancelled."""

    DEFAULT_CSS = "LayerRangeScreen FieldInput { margin: 1 0; }"

    def __init__(self, layers: Collection[int]) -> None:
        """`layers`: those that the model has."""
        super().__init__("Which layers", "⏎ select   esc cancel")
        self._layers = layers
        self._input = FieldInput(placeholder="0-11   or 2, 5, 8-10   or 0-23:4")

    def compose_body(self) -> ComposeResult:
        yield self._input
        yield Static(Text(""), classes="dialog-note")

    def on_mount(self) -> None:
        self._input.focus()
        self.on_input_changed()

    def on_input_changed(self) -> None:
        layers, wrong = self._read()
        named = f"{len(layers)} layers" if len(layers) != 1 else "1 layer"
        self.show_note(".dialog-note", wrong or (named if layers else ""), wrong=bool(wrong))

    def on_input_submitted(self) -> None:
        layers, wrong = self._read()
        if not wrong and layers:
            self.dismiss(layers)

    def _read(self) -> tuple[tuple[int, ...], str]:
        """The layers, and what is wrong."""
        try:
            layers = tuple(sorted(read_layers(self._input.value)))
        except InvalidInput as error:
            return (), " ".join(filter(None, (error.message.removeprefix("layers: "), error.suggestion)))
        missing = [layer for layer in layers if layer not in self._layers]
        if missing:
            last = max(self._layers, default=None)
            has = "No model is chosen yet." if last is None else f"It has layers 0 to {last}."
            return (), f"The model has no layer {missing[0]}. {has}"
        return layers, ""
