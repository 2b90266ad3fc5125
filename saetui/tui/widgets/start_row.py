"""Whether the training can start, and the button that starts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from saetui.errors import TorchError
from saetui.spec.problems import Problem, errors_of, warnings_of
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line


class Readiness(Enum):
    """Whether the form can be started."""

    CHECKING = "checking"
    READY = "ready"
    WRONG = "wrong"
    STARTING = "starting"


@dataclass(frozen=True)
class StartState:
    """Whether the training can start, and why not. `machine`: why none can on this machine."""

    readiness: Readiness
    errors: int = 0
    warnings: int = 0
    machine: str | None = None

    @classmethod
    def of(cls, problems: Sequence[Problem], checked: bool) -> StartState:
        """The state of a form with these problems. `checked`: its present values were checked against the machine."""
        errors, warnings = len(errors_of(problems)), len(warnings_of(problems))
        readiness = Readiness.WRONG if errors else Readiness.READY if checked else Readiness.CHECKING
        machine = next((problem.message for problem in problems if problem.kind == TorchError.kind), None)
        return cls(readiness, errors, warnings, machine)

    def words(self) -> str:
        """The state in a few words."""
        if self.readiness is Readiness.WRONG:
            if self.machine is not None:
                return self.machine
            return "1 error to correct" if self.errors == 1 else f"{self.errors} errors to correct"
        if self.readiness is Readiness.CHECKING:
            return "checking model and text …"
        if self.readiness is Readiness.STARTING:
            return "starting …"
        warnings = "" if not self.warnings else ", 1 warning" if self.warnings == 1 else f", {self.warnings} warnings"
        return f"ready{warnings}"

    def piece(self, canvas: LineCanvas) -> Piece:
        """The state with its mark and colour."""
        marks = {
            Readiness.WRONG: ("✗", "error"),
            Readiness.CHECKING: ("◌", "muted"),
            Readiness.STARTING: ("◔", "state-starting"),
            Readiness.READY: ("▲", "warning") if self.warnings else ("✓", "success"),
        }
        mark, colour = marks[self.readiness]
        return f"{mark} {self.words()}", canvas.colour(colour, bold=True)


class StartRow(LineCanvas, can_focus=True):
    """The button at the end of the form; beside it, whether it works and why not."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.START)]
    DEFAULT_CSS = "StartRow { height: 2; padding-top: 1; width: 1fr; }"

    class Pressed(Message):
        """The user asks for the start."""

    def __init__(self) -> None:
        super().__init__(id="start")
        self.state = StartState(Readiness.CHECKING)

    def show(self, state: StartState) -> None:
        self.state = state
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        if self.state.readiness is not Readiness.READY:
            style = self.colour("muted", on="panel")
        elif self.has_focus:
            style = self.colour("background", bold=True, on="primary")
        else:
            style = self.colour("primary", bold=True, on="cursor")
        button = ("  Start training  ", style)
        return [line(self.cursor_mark(self.has_focus), button, ("  ", self.colour("muted")), self.state.piece(self))]

    def action_press(self) -> None:
        self.post_message(self.Pressed())
