"""Help beside the form: the focused field, its range, unit and default, and the problems in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from textual.strip import Strip

from saetui.display.text import shorten
from saetui.spec.problems import Problem
from saetui.tui.fields import Entry, FormField
from saetui.tui.widgets.field_row import problem_mark
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line


@dataclass(frozen=True)
class HelpText:
    """The help of a field.

    Attributes:
        facts: names and values, e.g. ("range", "2 to 32").
    """

    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, info: FormField) -> HelpText:
        """The help of a row of the form."""
        default = " ".join(part for part in (info.default, info.default_means) if part)
        in_view = info.entry in (Entry.CHOICE, Entry.SWITCH)
        facts = (("range", "" if in_view else info.range), ("unit", info.unit), ("default", default))
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
        """Show another help. `problem`: with this field; `others`: with other fields, shown where there is room."""
        self._help, self._problem, self._others = help_text, problem, tuple(others)
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        if not self._help.title:
            return []
        muted, text = self.colour("muted"), self.colour("foreground")
        low = height < 9
        title: list[Piece] = [(self._help.title, self.colour("primary", bold=True))]
        if low:
            facts = "   ".join(f"{name} {value}" for name, value in self._help.facts if name != "unit")
            title.append((shorten(f"   {facts}", width - len(self._help.title)), muted))
        lines = [line(*title)]
        if self._problem is not None:
            lines += self._problem_lines(self._problem, width)
        lines += self.paragraph(self._help.text, width, "foreground")
        if low:
            return lines
        if self._help.facts:
            lines.append(line())
        for name, value in self._help.facts:
            for index, part in enumerate(wrap(value, width - 9) or [""]):
                lines.append(line((f"{'' if index else name:<9}", muted), (part, text)))
        if self._others:
            lines += [line(), line(("elsewhere", muted))]
        for problem in self._others:
            lines += self._problem_lines(problem, width, f"{problem.short_field}:")
        return lines

    def _problem_lines(self, problem: Problem, width: int, name: str = "") -> list[Strip]:
        mark, colour = problem_mark(problem)
        text = " ".join(part for part in (mark, name, problem.message, problem.suggestion) if part)
        return self.paragraph(text, width, colour, indent="  ")
