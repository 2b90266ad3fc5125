"""The line above a form: what it is, and where its content came from."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.text import shorten
from saetui.tui.widgets.line_canvas import LineCanvas, line


class FormTitle(LineCanvas):
    """A title, and a word about the present content."""

    DEFAULT_CSS = "FormTitle { height: 1; width: 1fr; padding: 0 0; }"

    def __init__(self, title: str = "New training") -> None:
        super().__init__()
        self._heading = title
        self._said = ""

    def say(self, said: str) -> None:
        """Say something about the content."""
        self._said = said
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        said = shorten(self._said, width - len(self._heading) - 6)
        return [
            line(
                ("  ", self.colour("muted")),
                (self._heading, self.colour("strong", bold=True)),
                (f"   {said}", self.colour("muted")),
            )
        ]
