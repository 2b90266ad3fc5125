"""Whether the training can start, and the button that starts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip

from saetui.spec.problems import Problem, errors_of, warnings_of
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line


class Readiness(Enum):
    """How it stands with the form."""

    LOOKING = "looking"
    READY = "ready"
    WRONG = "wrong"
    STARTING = "starting"


@dataclass(frozen=True)
class StartState:
    """Whether the training can start, and why not."""

    readiness: Readiness
    errors: int = 0
    warnings: int = 0

    @classmethod
    def of(cls, problems: Sequence[Problem], looked: bool) -> StartState:
        """The state of a form with these problems. `looked`: the machine has been asked about what stands there now."""
        errors, warnings = len(errors_of(problems)), len(warnings_of(problems))
        readiness = Readiness.WRONG if errors else Readiness.READY if looked else Readiness.LOOKING
        return cls(readiness, errors, warnings)

    def words(self) -> str:
        """The state in a few words."""
        if self.readiness is Readiness.WRONG:
            return "1 thing to repair" if self.errors == 1 else f"{self.errors} things to repair"
        if self.readiness is Readiness.LOOKING:
            return "looking at model and text …"
        if self.readiness is Readiness.STARTING:
            return "starting …"
        warnings = "" if not self.warnings else ", 1 warning" if self.warnings == 1 else f", {self.warnings} warnings"
        return f"ready{warnings}"

    def piece(self, canvas: LineCanvas) -> Piece:
        """The state with its mark and colour."""
        marks = {
            Readiness.WRONG: ("✗", "error"),
            Readiness.LOOKING: ("◌", "muted"),
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
        """The user wants to start."""

    def __init__(self) -> None:
        super().__init__(id="start")
        self.state = StartState(Readiness.LOOKING)

    def show(self, state: StartState) -> None:
        """Bring it up to date."""
        self.state = state
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        possible = self.state.readiness is Readiness.READY
        mark = ("▌ ", self.colour("primary")) if self.has_focus else ("  ", self.colour("muted"))
        if possible:
            style = (
                self.colour("background", bold=True, on="primary")
                if self.has_focus
                else self.colour("primary", bold=True, on="cursor")
            )
        else:
            style = self.colour("muted", on="panel")
        return [line(mark, ("  Start training  ", style), ("  ", self.colour("muted")), self.state.piece(self))]

    def action_press(self) -> None:
        self.post_message(self.Pressed())

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.repaint()
