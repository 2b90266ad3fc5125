"""What a newcomer sees before there is a job: what this is, and what to press first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

_STEPS = (
    ("d", "train the demo", "bundled model and text; takes a few minutes"),
    ("n", "set up a training", "choose model, text, layers and architecture"),
    ("t", "start from a template", "ready-made settings"),
    ("?", "see all keys", "or : to find an action by its name"),
)


class Welcome(LineCanvas):
    """Centred text; no jobs yet."""

    DEFAULT_CSS = "Welcome { height: 1fr; }"

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        key, label, hint = self.colour("primary", bold=True), self.colour("foreground"), self.colour("muted")
        sentences: list[list[Piece]] = [
            [("s a e t u i", key)],
            [],
            [("Train sparse autoencoders on the activations of a language model.", label)],
            [("Watch, leave, come back: the training goes on by itself.", hint)],
            [],
        ]
        block: list[list[Piece]] = [
            [(name.ljust(4), key), (text.ljust(24), label), (detail, hint)] for name, text, detail in _STEPS
        ]
        block_width = max(_length(pieces) for pieces in block)
        placed = [(_length(pieces), pieces) for pieces in sentences] + [(block_width, pieces) for pieces in block]
        blank = [Strip([])] * max(0, (height - len(placed)) // 2 - 1)
        return blank + [line((" " * max(0, (width - length) // 2), label), *pieces) for length, pieces in placed]


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
