"""Always in view beside the form: what the numbers come to, and whether the training can start."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display import figures
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
        self._figures: RunFigures | None = None
        self._state = StartState(Readiness.LOOKING)
        self._foretold: Estimate | None = None

    def show(self, run: RunFigures | None, state: StartState, foretold: Estimate | None = None) -> None:
        """Bring it up to date. `run` and `foretold` are None while they are not known."""
        self._figures, self._state = run, state
        self._foretold = foretold
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        muted, strong = self.colour("muted"), self.colour("strong")
        lines = [
            line((f"{name:<12}", muted), (shorten(value, width - 12), strong if value != figures.ABSENT else muted))
            for name, value in summary_rows(self._figures, self._foretold)
        ]
        lines = lines[: height - 1]
        return [line(self._state.piece(self)), *lines]


def summary_rows(run: RunFigures | None, foretold: Estimate | None = None) -> list[tuple[str, str]]:
    """Names and values, the most important first."""
    names = ("memory", "time", "SAEs", "parameters", "tokens", "active", "steps", "saved", "largest")
    if run is None:
        return [(name, figures.ABSENT) for name in names if name not in ("active", "largest")]
    total = run.parameters * run.sites
    values = {
        "memory": figures.ABSENT if foretold is None else _memory(foretold),
        "time": figures.ABSENT if foretold is None else _time(foretold),
        "SAEs": f"{run.sites} × {run.latents:,} × {run.d_in:,}",
        "parameters": f"{figures.short_count(total)} · {figures.size(run.weight_bytes)}",
        "tokens": figures.ABSENT if run.tokens is None else figures.short_count(run.tokens),
        "steps": "once the text is read" if run.steps is None else f"{run.steps:,} × {run.batch_size:,} tokens",
        "saved": figures.ABSENT if run.checkpoints is None else _times(run.checkpoints, "checkpoint"),
    }
    if run.active is not None:
        values["active"] = f"{run.active:,} a token ({figures.percent(run.active / run.latents, 1)})"
    if foretold is not None:
        parts = sorted(foretold.parts.items(), key=lambda part: -part[1])[:3]
        values["largest"] = ", ".join(f"{name.replace('_', ' ')} {figures.size(count)}" for name, count in parts)
    return [(name, values[name]) for name in names if name in values]


def _memory(foretold: Estimate) -> str:
    needed = figures.size(foretold.total_bytes)
    if foretold.available_bytes is None:
        return needed
    return f"{needed} of {figures.size(foretold.available_bytes)}{'' if foretold.fits else ': too much'}"


def _time(foretold: Estimate) -> str:
    return "not known: saetui bench" if foretold.seconds is None else f"about {figures.duration(foretold.seconds)}"


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
