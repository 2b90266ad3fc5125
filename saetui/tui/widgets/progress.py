"""A progress bar one line high, in halves of a cell."""

from __future__ import annotations

from rich.style import Style

from saetui.tui.widgets.line_canvas import Piece


def progress_bar(share: float, width: int, done: Style, rest: Style) -> list[Piece]:
    """A thin bar of `width` cells. It is full only when the share is 1."""
    halves = min(int(share * width * 2 + 1e-9), width * 2) if share < 1 else width * 2
    full, half = divmod(max(0, halves), 2)
    return [("━" * full + "╸" * half, done), ("─" * (width - full - half), rest)]
