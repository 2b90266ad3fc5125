"""Always in view beside the form: memory, time and size of the training, and whether it can start."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.figures import ABSENT, count, duration, percent, short_count, size, size_of
from saetui.display.text import shorten
from saetui.spec.estimates import Estimate
from saetui.tui.run_figures import RunFigures
from saetui.tui.widgets.line_canvas import LineCanvas, line
from saetui.tui.widgets.start_row import Readiness, StartState


class TrainingSummary(LineCanvas):
    """Memory and time, SAEs, parameters, tokens, and the state of the form."""

    DEFAULT_CSS = "TrainingSummary { height: 11; width: 1fr; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._run: RunFigures | None = None
        self._state = StartState(Readiness.CHECKING)
        self._estimate: Estimate | None = None

    def show(self, run: RunFigures | None, state: StartState, estimate: Estimate | None = None) -> None:
        """Bring the summary up to date. `run` and `estimate` are None while they are not known."""
        self._run, self._state, self._estimate = run, state, estimate
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted, strong = self.colour("muted"), self.colour("strong")
        lines = [line(self._state.piece(self))]
        for name, value in summary_rows(self._run, self._estimate)[: height - 1]:
            style = muted if value == ABSENT else strong
            lines.append(line((f"{name:<12}", muted), (shorten(value, width - 12), style)))
        return lines


def summary_rows(run: RunFigures | None, estimate: Estimate | None = None) -> list[tuple[str, str]]:
    """Names and values, the most important first."""
    if run is None:
        names = ("memory", "time", "SAEs", "parameters", "tokens", "steps", "saved")
        return [(name, ABSENT) for name in names]
    rows = [
        ("memory", ABSENT if estimate is None else _memory(estimate)),
        ("time", ABSENT if estimate is None else _time(estimate)),
        ("SAEs", f"{run.sites} × {count(run.latents)} × {count(run.d_in)}"),
        ("parameters", f"{short_count(run.parameters * run.sites)} · {size(run.weight_bytes)}"),
        ("tokens", short_count(run.tokens)),
    ]
    if run.active is not None:
        rows.append(("active", f"{count(run.active)} a token ({percent(run.active / run.latents, 1)})"))
    rows.append(
        (
            "steps",
            "once the text is read" if run.steps is None else f"{count(run.steps)} × {count(run.batch_size)} tokens",
        )
    )
    rows.append(("saved", _checkpoints(run.checkpoints)))
    if estimate is not None:
        parts = sorted(estimate.parts.items(), key=lambda part: -part[1])[:3]
        rows.append(("largest", ", ".join(f"{name.replace('_', ' ')} {size(amount)}" for name, amount in parts)))
    return rows


def _memory(estimate: Estimate) -> str:
    if estimate.available_bytes is None:
        return size(estimate.total_bytes)
    return f"{'' if estimate.fits else '✗ '}{size_of(estimate.total_bytes, estimate.available_bytes)} free"


def _time(estimate: Estimate) -> str:
    return "not known: saetui bench" if estimate.seconds is None else f"about {duration(estimate.seconds)}"


def _checkpoints(saved: int | None) -> str:
    return ABSENT if saved is None else "1 checkpoint" if saved == 1 else f"{count(saved)} checkpoints"
