"""Shown where there is nothing to list or to chart: the first keys of a newcomer, or the phase or error of a job."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from saetui.display.dates import listed
from saetui.jobs.job import Job, Status
from saetui.tui.history import History
from saetui.tui.theme import style_of
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, length, line

_FIRST_KEYS = (
    ("d", "train the demo", "bundled model and text; takes a few minutes"),
    ("n", "set up a training", "choose model, text, layers and architecture"),
    ("t", "start from a template", "ready-made settings"),
    ("?", "see all keys", "or : to find an action by its name"),
)
_EVENTS_SHOWN = 6
_WITHOUT_CURVES = {
    Status.QUEUED: "Queued: it starts when the device is free.",
    Status.STARTING: "Starting …",
    Status.RUNNING: "Running: the first figures come in a moment.",
    Status.PAUSED: "Paused before the first figures.",
    Status.STOPPING: "Stopping …",
    Status.COMPLETED: "Completed, without figures.",
    Status.STOPPED: "Stopped before the first figures.",
    Status.FAILED: "Failed.",
    Status.LOST: "Lost: the machine went down while it was running.",
}


class Welcome(LineCanvas):
    """Centred text for a list without jobs."""

    DEFAULT_CSS = "Welcome { height: 1fr; }"

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        key, label, hint = self.colour("primary", bold=True), self.colour("foreground"), self.colour("muted")
        sentences: list[list[Piece]] = [
            [("s a e t u i", key)],
            [],
            [("Train sparse autoencoders on the activations of a language model.", label)],
            [("You may leave at any time: the training goes on.", hint)],
            [],
        ]
        block: list[list[Piece]] = [
            [(name.ljust(4), key), (text.ljust(24), label), (detail, hint)] for name, text, detail in _FIRST_KEYS
        ]
        block_width = max(length(pieces) for pieces in block)
        placed = [(length(pieces), pieces) for pieces in sentences] + [(block_width, pieces) for pieces in block]
        blank = [Strip([])] * max(0, (height - len(placed)) // 2 - 1)
        return blank + [line((" " * max(0, (width - cells) // 2), label), *pieces) for cells, pieces in placed]


class JobNotice(LineCanvas):
    """A few lines of text about a job without curves."""

    DEFAULT_CSS = "JobNotice { height: 1fr; padding: 1 2; }"

    def __init__(self) -> None:
        super().__init__()
        self._job: Job | None = None
        self._history: History | None = None

    def show(self, job: Job | None, history: History | None) -> None:
        self._job, self._history = job, history
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        job = self._job
        if job is None:
            return [line(("No job is highlighted.", self.colour("muted")))]
        style = style_of(job)
        lines = [line((f"{style.glyph} {_sentence(job)}", self.colour(style.variable, bold=True))), Strip([])]
        if job.error is not None:
            lines += self._text(job.error.message, "foreground", width)
            if job.error.suggestion:
                lines += [Strip([]), *self._text(job.error.suggestion, "success", width)]
        elif self._history is not None and self._history.trouble:
            lines += self._text(self._history.trouble, "error", width)
        return lines + self._events(height - len(lines) - 1)

    def _events(self, room: int) -> list[Strip]:
        """The newest events, so that progress is visible before the first figures."""
        events = self._history.events if self._history is not None else ()
        shown = events[-min(room, _EVENTS_SHOWN) :] if room > 0 else ()
        lines = [Strip([])] if shown and self._job is not None and self._job.error is not None else []
        for event in shown:
            style = self.colour("foreground" if event is shown[-1] else "muted")
            lines.append(line((f"{listed(event.time)}  ", self.colour("muted")), (event.message, style)))
        return lines

    def _text(self, text: str, colour: str, width: int) -> list[Strip]:
        lines: list[Strip] = []
        for part in text.split("\n"):
            lines += self.paragraph(part, max(20, min(width, 100)), colour) or [line()]
        return lines


def _sentence(job: Job) -> str:
    if job.after is not None and job.status is Status.QUEUED:
        return f"Queued: it starts when job {job.after} has completed."
    if job.unloaded:
        return "Paused and unloaded: when resumed, it goes on through the queue."
    return _WITHOUT_CURVES[job.status]
