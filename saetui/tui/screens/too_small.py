"""Covers the screens while the window is too small for them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widgets import Static

from saetui.tui.actions import Scope, bindings_for

SMALLEST = Size(40, 10)
"""The columns and rows that every screen and dialog gets along with."""


class TooSmallScreen(ModalScreen[None]):
    """Says how large the window must be. Keys but that to leave do nothing: nobody sees what they would do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding for binding in bindings_for(Scope.APP) if binding.action == "leave"
    ]
    DEFAULT_CSS = "TooSmallScreen { background: $background; } TooSmallScreen Static { width: 1fr; height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield Static()

    def on_resize(self) -> None:
        self._tell()

    def on_screen_resume(self) -> None:
        self._tell()

    def action_leave(self) -> None:
        self.app.exit()

    def _tell(self) -> None:
        size = self.app.size
        if is_too_small(size):
            needed = f"{SMALLEST.width}×{SMALLEST.height}"
            self.query_one(Static).update(
                Text(f"Too small: saetui needs {needed}, this is {size.width}×{size.height}.")
            )
        elif self.is_current:
            self.dismiss(None)


def is_too_small(size: Size) -> bool:
    """Whether a window of this size cannot show the screens."""
    return size.width < SMALLEST.width or size.height < SMALLEST.height
