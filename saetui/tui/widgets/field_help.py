"""Beside the form: what the focused field does, its range, unit and default, and what is wrong with it in full."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip

from saetui.display.text import shorten
from saetui.spec.problems import Problem, Severity
from saetui.tui.fields import Entry, FormField
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line


@dataclass(frozen=True)
class HelpText:
    """What is said of a field.

    Attributes:
        facts: names and values, e.g. ("range", "2 to 32").
    """

    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, info: FormField) -> HelpText:
        """The help of a row of the form."""
        usual = " ".join(part for part in (info.usual, info.usual_means) if part)
        in_view = info.entry in (Entry.CHOICE, Entry.SWITCH)
        facts = (("range", "" if in_view else info.range), ("unit", info.unit), ("default", usual))
        return cls(info.title, info.help, tuple((name, value) for name, value in facts if value))


NOTHING = HelpText("", "")


class FieldHelp(LineCanvas):
    """The help of one field. In a low box the facts go beside the title."""

    DEFAULT_CSS = "FieldHelp { height: 1fr; width: 1fr; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._help = NOTHING
        self._problem: Problem | None = None
        self._others: tuple[Problem, ...] = ()

    def show(self, help_text: HelpText, problem: Problem | None, others: Sequence[Problem] = ()) -> None:
        """Speak of another field. `others`: what is wrong elsewhere, named where there is room."""
        self._help, self._problem, self._others = help_text, problem, tuple(others)
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        if not self._help.title:
            return []
        muted, strong = self.colour("muted"), self.colour("foreground")
        low = height < 9
        title: list[Piece] = [(self._help.title, self.colour("primary", bold=True))]
        if low:
            facts = "   ".join(f"{name} {value}" for name, value in self._help.facts if name != "unit")
            title.append((shorten(f"   {facts}", width - len(self._help.title)), muted))
        lines = [line(*title)]
        lines += [] if self._problem is None else _problem_lines(self, self._problem, width)
        lines += [line((part, strong)) for part in textwrap.wrap(self._help.text, width)]
        if not low:
            lines += [line()] if self._help.facts else []
            for name, value in self._help.facts:
                parts = textwrap.wrap(value, width - 9) or [""]
                lines += [
                    line((f"{name if not index else '':<9}", muted), (part, strong)) for index, part in enumerate(parts)
                ]
            if self._others:
                lines += [line(), line(("elsewhere", muted))]
                lines += [part for problem in self._others for part in _problem_lines(self, problem, width, named=True)]
        return lines


def _problem_lines(canvas: LineCanvas, problem: Problem, width: int, *, named: bool = False) -> list[Strip]:
    error = problem.severity is Severity.ERROR
    name = f"{problem.short_field}:" if named else ""
    said = " ".join(part for part in ("✗" if error else "▲", name, problem.message, problem.suggestion) if part)
    style = canvas.colour("error" if error else "warning")
    return [line((part, style)) for part in textwrap.wrap(said, width, subsequent_indent="  ")]
