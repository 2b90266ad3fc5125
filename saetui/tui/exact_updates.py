"""Sends the cells that changed and no others.

Textual crops a changed region on the right only: each change costs its whole line, from the left edge of its widget, and
each piece sets both its colours anew. For a slow line that is ten times too much, so saetui's screens use this
compositor, which crops on both sides and sets only the differences. It replaces two private names of Textual
(`Screen._compositor`, `Compositor.render_partial_update`); a test checks that the screen shows the same.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, Compositor

_NO_STYLE = Style()


class ExactCompositor(Compositor):
    """Textual's compositor, with updates that are cropped exactly."""

    def render_partial_update(self) -> ChopsUpdate | None:
        update = super().render_partial_update()
        return None if update is None else ExactUpdate(update.chops, update.spans, update.chop_ends)


class ExactUpdate(ChopsUpdate):
    """The changed spans of some lines."""

    def render_segments(self, console: Console) -> str:
        system = console._color_system
        parts: list[str] = []
        now = _LetterStyle()
        for y, first, behind in self.spans:
            for end, (start, strip) in zip(self.chop_ends[y], self.chops[y].items()):
                if strip is None or start >= behind or end <= first:
                    continue
                left = max(start, first)
                parts.append(Control.move_to(left, y).segment.text)
                for text, style, _ in strip.crop(left - start, min(end, behind) - start):
                    wanted = _letter_style(style or _NO_STYLE, system)
                    parts += (wanted.sequence_after(now), text)
                    now = wanted
        return "".join([*parts, "\x1b[0m"]) if parts else ""


class _LetterStyle:
    """How a terminal shows letters: its attributes and two colours, as the numbers of an SGR sequence."""

    def __init__(self, attributes: str = "", foreground: str = "39", background: str = "49") -> None:
        self.attributes = attributes
        self.foreground = foreground
        self.background = background

    def sequence_after(self, before: _LetterStyle) -> str:
        """The sequence that changes another style into this one. Attributes can only be reset all together."""
        if before.attributes != self.attributes:
            before = _LetterStyle(self.attributes)
            numbers = ["0", *([self.attributes] if self.attributes else [])]
        else:
            numbers = []
        if before.foreground != self.foreground:
            numbers.append(self.foreground)
        if before.background != self.background:
            numbers.append(self.background)
        return f"\x1b[{';'.join(numbers)}m" if numbers else ""


_ATTRIBUTES = (("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("reverse", "7"), ("strike", "9"))


@lru_cache(maxsize=1024)
def _letter_style(style: Style, system: ColorSystem | None) -> _LetterStyle:
    attributes = ";".join(code for name, code in _ATTRIBUTES if getattr(style, name))
    if system is None:
        return _LetterStyle(attributes)
    foreground = style.color.downgrade(system).get_ansi_codes(True) if style.color else ("39",)
    background = style.bgcolor.downgrade(system).get_ansi_codes(False) if style.bgcolor else ("49",)
    return _LetterStyle(attributes, ";".join(foreground), ";".join(background))
