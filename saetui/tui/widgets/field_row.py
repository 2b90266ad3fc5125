"""Rows of a form: label, value, unit and note; below, the problem with the value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partialmethod
from typing import ClassVar

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

from saetui.display.text import fit, shorten
from saetui.spec.problems import Problem, Severity
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.fields import Entry, FormField
from saetui.tui.widgets.inputs import FieldInput
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

VALUE_COLUMN = 24
"""Where values begin; tests and the style sheet rely on it."""

NOTE_COLUMN = 4
"""Where the lines under values begin."""

NUMBER_WIDTH = 14
WIDE_WIDTH = 28
UNIT_WIDTH = 12
CHOICES_WIDTH = 55
"""The room for a line of choices: the form's width beside its help at 120 columns, and alone at 80."""
_LONG_WORD = 24


class FieldRow(LineCanvas):
    """A row of the form. The draft holds the value; `show` brings changes.

    Attributes:
        info: the field.
    """

    DEFAULT_CSS = """
    FieldRow { height: 1; width: 1fr; background: $background; }
    FieldRow.-problem { height: 2; }
    FieldRow.-two-lines { height: 2; }
    FieldRow.-two-lines.-problem { height: 3; }
    FieldRow.-three-lines { height: 3; }
    FieldRow.-three-lines.-problem { height: 4; }
    """

    class Changed(Message):
        """The user entered another value."""

        def __init__(self, row: FieldRow, text: str) -> None:
            super().__init__()
            self.row = row
            self.field = row.info.field
            self.text = text

        @property
        def control(self) -> FieldRow:
            return self.row

    def __init__(self, info: FormField, text: str) -> None:
        super().__init__()
        self.info = info
        self._text = text
        self._derived = ""
        self._note = ""
        self._problem: Problem | None = None

    @property
    def text(self) -> str:
        """The value in the form; empty: the default."""
        return self._text

    def show(self, *, text: str, derived: str = "", note: str = "", problem: Problem | None = None) -> None:
        """Bring the row up to date.

        Args:
            text: the value in the draft.
            derived: the value of an empty field that follows from other fields.
            note: a fact about the value, e.g. a model's layers.
            problem: with the value.
        """
        if (text, derived, note, problem) == (self._text, self._derived, self._note, self._problem):
            return
        self._text, self._derived, self._note, self._problem = text, derived, note, problem
        self.set_class(problem is not None, "-problem")
        self.repaint()

    def focus_field(self) -> None:
        """Put the focus where the value is entered."""
        self.focus()

    def on_descendant_focus(self) -> None:
        self.repaint()

    def on_descendant_blur(self) -> None:
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        mark = self.cursor_mark(self.has_focus_within)
        indent = "or " if self.info.linked else ""
        label = fit(self.info.label, VALUE_COLUMN - 3 - len(indent)) + " "
        value = self.value_pieces(width - VALUE_COLUMN)
        first = line(mark, (indent, self.colour("muted")), (label, self.label_style()), *value)
        problem = [] if self._problem is None else [problem_line(self, self._problem, width)]
        return [first, *self.further_lines(), *problem]

    def further_lines(self) -> list[Strip]:
        """The other lines of a value that has several."""
        return []

    def value_pieces(self, width: int) -> list[Piece]:
        """Everything right of the label, in `width` cells."""
        raise NotImplementedError


class TextRow(FieldRow):
    """A row whose value is typed. `enter` on a wide one asks for a list to pick from."""

    DEFAULT_CSS = f"""
    TextRow FieldInput {{ margin-left: {VALUE_COLUMN - 1}; width: {NUMBER_WIDTH + 2}; }}
    TextRow.-wide FieldInput {{ width: {WIDE_WIDTH + 2}; }}
    """

    class Submitted(Message):
        """Enter was pressed."""

        def __init__(self, row: TextRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, info: FormField, text: str, suggester: Suggester | None = None) -> None:
        super().__init__(info, text)
        self.set_class(info.wide, "-wide")
        self._input = FieldInput(text, numeric=info.entry is Entry.NUMBER, suggester=suggester)
        self._input.placeholder = self._placeholder()

    def compose(self) -> ComposeResult:
        yield self._input

    def focus_field(self) -> None:
        self._input.focus()

    def show(self, *, text: str, derived: str = "", note: str = "", problem: Problem | None = None) -> None:
        unsent = self._input.value != self._text and self._input.has_focus
        if text != self._input.value and not unsent:
            with self._input.prevent(Input.Changed):
                self._input.value = text
                self._input.cursor_position = len(text)
        super().show(text=text, derived=derived, note=note, problem=problem)
        placeholder = self._placeholder()
        if placeholder != self._input.placeholder:
            self._input.placeholder = placeholder

    def value_pieces(self, width: int) -> list[Piece]:
        taken = (WIDE_WIDTH if self.info.wide else NUMBER_WIDTH) + 2
        unit = self.info.unit
        note = self._note or (self.info.default_means if not self._text and self.info.default_means != "off" else "")
        text = "  ".join(part for part in (fit(unit, UNIT_WIDTH) if unit and note else unit, note) if part)
        return [(" " * taken, self.colour("muted")), (shorten(text, width - taken), self.colour("muted"))]

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._input.value or event.value == self._text:
            return  # the value was set from the draft, not by a key
        self._text = event.value
        self.post_message(self.Changed(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Submitted(self))

    def _placeholder(self) -> str:
        means = self.info.default_means
        return (
            self._derived
            or self.info.default
            or ("off" if means == "off" else "auto" if means and not self.info.linked else "")
        )


class ChoiceRow(FieldRow, can_focus=True):
    """A row with a few choices, all in view, on up to three lines; switches are such rows too."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.CHOICE)]

    @property
    def chosen(self) -> str:
        """The choice in force."""
        return self._text or self.info.default

    def __init__(self, info: FormField, text: str) -> None:
        super().__init__(info, text)
        self._rows = wrapped([self._word(choice) for choice in info.choices], CHOICES_WIDTH)
        self.set_class(len(self._rows) == 2, "-two-lines")
        self.set_class(len(self._rows) > 2, "-three-lines")

    def value_pieces(self, width: int) -> list[Piece]:
        pieces = self._choices(0)
        if self.chosen not in self.info.choices:
            pieces.append((shorten(self.chosen, 20), self.colour("error")))
        return pieces

    def further_lines(self) -> list[Strip]:
        muted = self.colour("muted")
        return [line((" " * VALUE_COLUMN, muted), *self._choices(index)) for index in range(1, len(self._rows))]

    def _choices(self, index: int) -> list[Piece]:
        """The choices of one line, in columns where there are several lines."""
        room = max(len(word) for row in self._rows for word in row) if len(self._rows) > 1 else 0
        before = sum(len(row) for row in self._rows[:index])
        pieces: list[Piece] = []
        for choice, word in zip(self.info.choices[before:], self._rows[index]):
            if choice == self.chosen:
                strong = "primary" if self.has_focus else "strong" if self._text else "foreground"
                pieces += [("● ", self.colour("primary")), (word.ljust(room), self.colour(strong, bold=self.has_focus))]
            else:
                pieces.append((f"○ {word.ljust(room)}", self.colour("muted")))
            pieces.append(("  " if room else "   ", self.colour("muted")))
        return pieces

    def _word(self, choice: str) -> str:
        words = {"true": "on", "false": "off"} if self.info.entry is Entry.SWITCH else {}
        return words.get(choice, choice)

    def action_next_row(self) -> None:
        self.screen.focus_next()

    def action_previous_row(self) -> None:
        self.screen.focus_previous()

    def _step(self, by: int) -> None:
        choices = self.info.choices
        index = choices.index(self.chosen) + by if self.chosen in choices else 0
        if not 0 <= index < len(choices) and len(choices) > 2:
            return
        self._text = choices[index % len(choices)]
        self.repaint()
        self.post_message(self.Changed(self, "" if self._text == self.info.default else self._text))

    action_next_choice = partialmethod(_step, 1)
    action_previous_choice = partialmethod(_step, -1)


def wrapped(words: Sequence[str], width: int) -> list[list[str]]:
    """Words, each with a mark before it, on as few lines as possible: one line without columns, several in equal columns."""
    if sum(len(word) + 5 for word in words) - 3 <= width:
        return [list(words)]
    columns = max(1, (width + 2) // (max(map(len, words)) + 4))
    return [list(words[start : start + columns]) for start in range(0, len(words), columns)]


def problem_mark(problem: Problem) -> tuple[str, str]:
    """The mark before a problem, and the name of its colour."""
    return ("✗", "error") if problem.severity is Severity.ERROR else ("▲", "warning")


def problem_line(canvas: LineCanvas, problem: Problem, width: int) -> Strip:
    """A problem on one line under its value. Long words (paths) lose their beginning, so that the message stays in view."""
    mark, colour = problem_mark(problem)
    words = " ".join(part for part in (problem.message, problem.suggestion) if part).split()
    brief = " ".join(word if len(word) <= _LONG_WORD else "…" + word[1 - _LONG_WORD :] for word in words)
    return under_value(f"{mark} {brief}", canvas.colour(colour), width)


def under_value(text: str, style: Style, width: int) -> Strip:
    """A line under a value. All begin in one column, far left: most are too long to stand under the value itself."""
    return line((" " * NOTE_COLUMN, style), (shorten(text, width - NOTE_COLUMN), style))


def make_row(info: FormField, text: str, suggester: Suggester | None = None) -> FieldRow:
    """The row that suits a field."""
    return ChoiceRow(info, text) if info.choices else TextRow(info, text, suggester)
