"""Headings of a job: one line above its charts in the list, two on its own screen; both with its error below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from saetui.display.dates import date_and_time
from saetui.display.figures import count, duration, percent, short_count
from saetui.display.text import one_line, shorten
from saetui.jobs.job import Job
from saetui.tui.theme import style_of
from saetui.tui.widgets.headings import more_charts
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line

_BAR = 20
_ERROR_LINES = 5


class JobHeading(LineCanvas):
    """A job's name and state, and as many lines as its error needs."""

    LINES: ClassVar[int] = 1
    MARGIN: ClassVar[str] = ""

    def __init__(self, job: Job | None = None) -> None:
        super().__init__()
        self._job = job

    def show(self, job: Job | None) -> None:
        self._job = job
        self._fit_height()
        self.repaint()

    def on_resize(self) -> None:
        self._fit_height()

    def error_shown(self, job: Job) -> bool:
        """Whether the error is shown here."""
        return True

    def error_lines(self, job: Job, width: int) -> list[Strip]:
        """Why a job failed and what to try, or what it has to do without, in a few lines at most."""
        if width < 10:
            return []
        if job.degraded is not None:
            return self.paragraph(job.degraded, width, "warning", margin=self.MARGIN)[:_ERROR_LINES]
        if job.error is None:
            return []
        lines = self.paragraph(job.error.message, width, "error", margin=self.MARGIN)[: _ERROR_LINES - 1]
        lines += self.paragraph(job.error.suggestion or "", width, "success", margin=self.MARGIN)
        return lines[:_ERROR_LINES]

    def _fit_height(self) -> None:
        width, height = self.content_size.width, self.styles.height
        errors = self._job is not None and self.error_shown(self._job)
        wanted = self.LINES + (len(self.error_lines(self._job, width)) if errors and self._job is not None else 0)
        if width and height is not None and height.value != wanted:
            self.styles.height = wanted

    def _name_pieces(self, job: Job, shortest: int, width: int) -> list[Piece]:
        style = style_of(job)
        return [
            (shorten(one_line(job.name), max(shortest, width // 3)), self.colour("strong", bold=True)),
            (f"  {style.glyph} {style.word}", self.colour(style.variable)),
        ]


class JobLine(JobHeading):
    """A rule with the job's name in it; details are left out as it gets narrow."""

    MARGIN = "   "
    DEFAULT_CSS = "JobLine { height: 1; padding: 0; }"

    def __init__(self) -> None:
        super().__init__()
        self._note = ""

    def show_note(self, note: str) -> None:
        """Which charts are shown; "" where these are all."""
        self._note = note
        self.repaint()

    def error_shown(self, job: Job) -> bool:
        """An error without curves stands in their place instead."""
        return job.step > 0

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = self.colour("line")
        job = self._job
        if job is None:
            return [line(("─" * width, rule))]
        pieces: list[Piece] = [("── ", rule), *self._name_pieces(job, 12, width)]
        note = more_charts(self, self._note)
        for text in self._details(job):
            if length(pieces) + cell_len(text) + length(note) + 6 > width:
                break
            pieces.append((f"  {text}", self.colour("muted")))
        pieces.append((" ", rule))
        return [
            line(*pieces, ("─" * (width - length(pieces) - length(note)), rule), *note),
            *self.error_lines(job, width),
        ]

    def _details(self, job: Job) -> list[str]:
        sites = job.sites[0] if len(job.sites) == 1 else f"{len(job.sites)} sites"
        steps = [f"step {count(job.step)}/{count(job.num_steps)} {percent(job.progress)}"] if job.num_steps else []
        subject = f"{job.architecture} on {shorten(one_line(job.model), 40)} {sites}"
        return [*_at_work(job), *steps, subject, *_speed(job)]


class JobHead(JobHeading):
    """Name, state and progress; below, what is trained."""

    LINES = 2
    DEFAULT_CSS = "JobHead { height: 2; padding: 0 1; }"

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        job = self._job
        if job is None:
            return []
        text = self.colour("foreground")
        first: list[Piece] = [*self._name_pieces(job, 16, width), ("  ", text)]
        if length(first) + _BAR + 24 < width:
            first += progress_bar(job.progress, _BAR, self.colour(style_of(job).variable), self.colour("faint"))
        first.append((f" {percent(job.progress)}", text))
        steps = f"step {count(job.step)}/{count(job.num_steps)}"
        for part in [*_at_work(job), steps, *_speed(job)]:
            if length(first) + cell_len(part) + 3 > width:
                break
            first.append((f"   {part}", text))
        subject = f"{job.architecture} on {one_line(job.model)} at {', '.join(job.sites)}"
        ending = f"  id {job.id}"
        for when in _times(job):
            # What is trained matters more than when.
            if cell_len(subject) + cell_len(ending) + cell_len(when) + 2 > width:
                break
            ending = f"  {when}{ending}"
        second = line((shorten(subject, width - cell_len(ending)) + ending, self.colour("muted")))
        return [line(*first), second, *self.error_lines(job, width)]


def progress_bar(share: float, width: int, done: Style, rest: Style) -> list[Piece]:
    """A thin bar of `width` cells, in halves of a cell. It is full only when the share is 1."""
    halves = min(int(share * width * 2 + 1e-9), width * 2) if share < 1 else width * 2
    full, half = divmod(max(0, halves), 2)
    return [("━" * full + "╸" * half, done), ("─" * (width - full - half), rest)]


def _times(job: Job) -> list[str]:
    """When it ended, how long it ran and when it started, the most wanted first; when it was made, before that."""
    if job.started_at is None:
        return [f"created {date_and_time(job.created_at)}"]
    ended = [] if job.ended_at is None else [f"ended {date_and_time(job.ended_at)}"]
    return [*ended, f"elapsed {duration(job.elapsed_seconds())}", f"started {date_and_time(job.started_at)}"]


def _at_work(job: Job) -> list[str]:
    """What it is at beside its steps, which comes first: a heading may have room for little."""
    phase = [one_line(job.phase)] if job.phase is not None and not job.status.ended else []
    return [*(["unloaded"] if job.unloaded else []), *phase]


def _speed(job: Job) -> list[str]:
    parts = [f"{short_count(job.tokens_per_second)} tokens/s"] if job.tokens_per_second else []
    if job.eta_seconds is not None and not job.status.ended:
        parts.append(f"{duration(job.eta_seconds)} to go")
    return parts
