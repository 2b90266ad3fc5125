"""The names of the tabs, each with the digit that opens it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line


class TabLine(LineCanvas):
    """One line; the open tab is bright and marked, the others are grey."""

    DEFAULT_CSS = "TabLine { height: 1; }"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = list(names)
        self.active = 0

    def open(self, index: int) -> None:
        self.active = index
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        pieces: list[Piece] = [("─", rule)]
        for index, name in enumerate(self._names):
            if index == self.active:
                pieces.append((f"[{index + 1} {name}]", self.colour("primary", bold=True)))
            else:
                pieces += [(f" {index + 1} ", self.colour("faint")), (f"{name} ", self.colour("muted"))]
            pieces.append(("─", rule))
        used = sum(len(text) for text, _ in pieces)
        return [line(*pieces, ("─" * (width - used), rule))]
