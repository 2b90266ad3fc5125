"""What all screens share: the device on top, the keys at the bottom, and the model to read."""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from saetui.tui.exact_updates import ExactCompositor
from saetui.tui.shell import ModelChanged, Shell
from saetui.tui.state import Model
from saetui.tui.widgets.device_bar import DeviceBar
from saetui.tui.widgets.key_line import KeyLine

Result = TypeVar("Result")


class SaetuiScreen(Screen[Result]):
    """A full screen. Subclasses compose the part between the two lines, and redraw in `show_model`."""

    ESCAPE_TO_MINIMIZE: ClassVar[bool] = False
    AUTO_FOCUS = ""
    """Each screen says itself what has the focus first: Textual may choose a field that is hidden."""

    def __init__(self) -> None:
        super().__init__()
        self._compositor = ExactCompositor()

    @property
    def shell(self) -> Shell:
        """The app."""
        return cast("Shell", self.app)

    @property
    def model(self) -> Model:
        """The newest state; read it, never change it."""
        return self.shell.model

    def compose(self) -> ComposeResult:
        yield DeviceBar(self.model)
        yield from self.compose_body()
        yield KeyLine()

    def compose_body(self) -> ComposeResult:
        """The part between the device's line and the keys."""
        yield from ()

    def show_model(self) -> None:
        """The model has changed: redraw what depends on it."""

    def step_back(self) -> bool:
        """Leave a mode of this screen (a filter, a zoom). Returns False where there was none: then the screen closes."""
        return False

    def _compositor_refresh(self) -> None:
        """Draw what has changed, on the screen in front alone.

        Textual lets a covered screen draw the changed regions on the screen in front of it, which then sends itself whole:
        100 KB a second while jobs run. A covered screen is drawn whole when it is in front again.
        """
        if self.app.screen is self:
            super()._compositor_refresh()
        else:
            self._compositor._dirty_regions.clear()
            self._dirty_widgets.clear()

    def on_screen_resume(self) -> None:
        """The screen rested while it was covered."""
        self.post_message(ModelChanged())

    def on_model_changed(self, event: ModelChanged) -> None:
        self.query_one(DeviceBar).repaint()
        self.show_model()
        self.refresh_bindings()
