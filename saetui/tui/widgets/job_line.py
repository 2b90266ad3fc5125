"""One line that says which job is below: name, state, what is trained where, how far."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual.strip import Strip

from saetui.display.figures import count, duration, percent, short_count
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Job
from saetui.tui.theme import look_of
from saetui.tui.widgets.job_head import error_lines, fit_to_error
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

_INDENT = 3


class JobLine(LineCanvas):
    """A rule with the job's heading in it; details drop out as it gets narrow."""

    DEFAULT_CSS = "JobLine { height: 1; padding: 0; }"

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None

    def show(self, job: Job | None) -> None:
        self._job = job
        self.fit_height()
        self.repaint()

    def on_resize(self) -> None:
        self.fit_height()

    def fit_height(self) -> None:
        """As high as the error needs; an error without curves is said in their place."""
        shown = self._job if self._job is not None and self._job.step > 0 else None
        fit_to_error(self, shown, 1, _INDENT)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        job = self._job
        if job is None:
            return [line(("─" * width, rule))]
        look = look_of(job)
        pieces: list[Piece] = [
            ("── ", rule),
            (shorten(one_line(job.name), max(12, width // 3)), self.colour("strong", bold=True)),
            (f"  {look.glyph} {look.word}", self.colour(look.variable)),
        ]
        for text in self._details(job):
            if _length(pieces) + cell_len(text) + 6 > width:
                break
            pieces.append((f"  {text}", self.colour("muted")))
        pieces.append((" ", rule))
        heading = line(*pieces, ("─" * (width - _length(pieces)), rule))
        return [heading, *error_lines(self, job, width, _INDENT)]

    def _details(self, job: Job) -> list[str]:
        sites = job.sites[0] if len(job.sites) == 1 else f"{len(job.sites)} sites"
        details = ["memory free"] if job.unloaded else []
        if job.num_steps:
            details.append(f"step {count(job.step)}/{count(job.num_steps)} {percent(job.progress)}")
        details += [f"{job.architecture} on {shorten(one_line(job.model), 40)} {sites}"]
        if job.tokens_per_second:
            details.append(f"{short_count(job.tokens_per_second)} tokens/s")
        if job.eta_seconds is not None and not job.status.ended:
            details.append(f"{duration(job.eta_seconds)} to go")
        return details


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
