"""A page of saetui.docs to read, scrolled like a list."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from textual.app import ComposeResult
from textual.strip import Strip

from saetui.docs import read_topic, topics
from saetui.tui.screens.dialog import ReportDialog
from saetui.tui.screens.pick import PickEntry
from saetui.tui.widgets.line_list import Reading

_WIDEST = 100


class PageScreen(ReportDialog):
    """One page, drawn from its Markdown."""

    BOX_CLASSES = "dialog help"

    def __init__(self, topic: str) -> None:
        super().__init__("", "↑ ↓ scroll   y copy   esc close")
        self._text = read_topic(topic).text

    def compose_body(self) -> ComposeResult:
        yield Page(self._text)

    def text_to_copy(self) -> str:
        return self._text


class Page(Reading):
    """A text in Markdown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def lines(self, width: int) -> Sequence[Strip]:
        width = min(width, _WIDEST)
        from rich.markdown import Markdown
        from rich.theme import Theme

        heading, strong = self.colour("primary", bold=True), self.colour("strong")
        plain = self.colour("foreground")
        styles = {f"markdown.h{level}": heading for level in range(1, 5)} | {"markdown.code": strong}
        console = Console(width=width, force_terminal=True, theme=Theme(styles))
        page = Markdown(self._text, code_theme="ansi_dark", justify="left")
        lines = console.render_lines(page, console.options.update(width=width), style=plain)
        return [Strip(line, width) for line in lines]


def page_entries() -> list[PickEntry]:
    """The pages to choose from."""
    return [PickEntry(page.name, page.name, page.title) for page in topics()]
