"""The head of a job's screen: name, state, how far; what is trained; and when it failed why, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.cells import cell_len
from textual.strip import Strip

from saetui.display.figures import count, duration, percent, short_count
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Job
from saetui.tui.theme import look_of
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line
from saetui.tui.widgets.progress import progress_bar

_BAR = 20
_ERROR_LINES = 5


class JobHead(LineCanvas):
    """Two lines, and more for an error."""

    DEFAULT_CSS = "JobHead { height: 2; padding: 0 1; }"

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def show(self, job: Job) -> None:
        self._job = job
        self.fit_height()
        self.repaint()

    def on_resize(self) -> None:
        self.fit_height()

    def fit_height(self) -> None:
        """As high as the error needs."""
        fit_to_error(self, self._job, 2)

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        job = self._job
        look = look_of(job)
        state, muted, text = self.colour(look.variable), self.colour("muted"), self.colour("foreground")
        first: list[Piece] = [
            (shorten(one_line(job.name), max(16, width // 3)), self.colour("strong", bold=True)),
            (f"  {look.glyph} {look.word}  ", state),
        ]
        if _length(first) + _BAR + 24 < width:
            first += progress_bar(job.progress, _BAR, state, self.colour("faint"))
        first.append((f" {percent(job.progress)}", text))
        for part in self._figures(job):
            if _length(first) + cell_len(part) + 3 > width:
                break
            first.append((f"   {part}", text))
        sites = ", ".join(job.sites)
        second = f"{job.architecture} on {one_line(job.model)} at {sites}"
        ending = f"id {job.id}"
        room = width - cell_len(ending) - 2
        return [
            line(*first),
            line((f"{shorten(second, room)}  {ending}", muted)),
            *error_lines(self, job, width),
        ]

    def _figures(self, job: Job) -> list[str]:
        figures = ["memory free"] if job.unloaded else []
        figures.append(f"step {count(job.step)}/{count(job.num_steps)}")
        if job.tokens_per_second:
            figures.append(f"{short_count(job.tokens_per_second)} tokens/s")
        if job.eta_seconds is not None and not job.status.ended:
            figures.append(f"{duration(job.eta_seconds)} to go")
        return figures


def fit_to_error(canvas: LineCanvas, job: Job | None, lines: int, indent: int = 0) -> None:
    """Make a widget as high as its lines and the job's error need."""
    width = canvas.content_size.width
    wanted = lines + (len(error_lines(canvas, job, width, indent)) if job is not None else 0)
    if width and canvas.styles.height is not None and canvas.styles.height.value != wanted:
        canvas.styles.height = wanted


def error_lines(canvas: LineCanvas, job: Job, width: int, indent: int = 0) -> list[Strip]:
    """Why a job failed and what to try, or what it has to do without, in as many lines as that takes (a few at most)."""
    margin, room = " " * indent, width - indent
    if job.degraded is not None and width >= 10:
        found = wrap(one_line(job.degraded), room)[:_ERROR_LINES]
        return [line((margin + part, canvas.colour("warning"))) for part in found]
    if job.error is None or width < 10:
        return []
    lines = [line((margin + part, canvas.colour("error"))) for part in wrap(one_line(job.error.message), room)]
    lines = lines[: _ERROR_LINES - 1]
    if job.error.suggestion:
        hint = wrap(one_line(job.error.suggestion), room)
        lines += [line((margin + part, canvas.colour("success"))) for part in hint]
    return lines[:_ERROR_LINES]


def _length(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
