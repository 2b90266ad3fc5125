"""Problems of a training spec, for a form, a shell and a program alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import Enum

import msgspec

from saetui.errors import InvalidInput

LONGEST_GUESS = 100
"""Characters of a value that are compared in the search for a similar one."""


class Severity(str, Enum):
    """An error forbids the start; a warning is shown and accepted."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of one field.

    Attributes:
        field: its name in the spec, e.g. `layers`, `dataset.source`, `hyperparameters.k`.
        message: one sentence that names the value and the limit.
        suggestion: the way out.
        kind: `invalid_input`, `model` or `dataset`: the part that found it.
    """

    field: str
    message: str
    suggestion: str | None = None
    severity: Severity = Severity.ERROR
    kind: str = "invalid_input"

    @property
    def short_field(self) -> str:
        """The field without its group: `k` for `hyperparameters.k`."""
        return self.field.removeprefix("hyperparameters.")

    def sentence(self) -> str:
        """The problem on one line, field first."""
        text = f"{self.short_field}: {self.message}"
        return f"{text} {self.suggestion}" if self.suggestion else text


class SpecError(InvalidInput):
    """A spec that cannot be started, with all its problems."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "" if count == 1 else f"{count} problems. "
        super().__init__(head + " ".join(problem.sentence() for problem in self.problems))


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that forbid the start."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def warnings_of(problems: Iterable[Problem]) -> list[Problem]:
    """The problems that are shown and accepted."""
    return [problem for problem in problems if problem.severity is Severity.WARNING]


def nearest(value: object, choices: Iterable[str]) -> str | None:
    """`Did you mean …?` with the choice that is most like a value; None where none is."""
    near = difflib.get_close_matches(str(value)[:LONGEST_GUESS], list(choices), n=1)
    return f"Did you mean {near[0]}?" if near else None
