"""What stands where charts will be: the phase of a job that starts, why one failed and what to try, what to wait for."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from textual.strip import Strip

from saetui.display.text import one_line
from saetui.jobs.job import Job, Status
from saetui.tui.history import History
from saetui.tui.theme import look_of
from saetui.tui.widgets.line_canvas import LineCanvas, Piece, line

_EVENTS_SHOWN = 6


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
            return [line(("Nothing is highlighted.", self.colour("muted")))]
        look = look_of(job)
        lines = [line((f"{look.glyph} {_sentence(job)}", self.colour(look.variable, bold=True))), Strip([])]
        if job.error is not None:
            lines += self._paragraph(job.error.message, "foreground", width)
            if job.error.suggestion:
                lines += [Strip([]), *self._paragraph(job.error.suggestion, "success", width)]
        elif self._history is not None and self._history.trouble:
            lines += self._paragraph(self._history.trouble, "error", width)
        lines += self._events(height - len(lines) - 1)
        return lines

    def _events(self, room: int) -> list[Strip]:
        """The newest events, so that one sees that something happens."""
        events = self._history.events if self._history is not None else ()
        shown = events[-max(0, min(room, _EVENTS_SHOWN)) :] if room > 0 else ()
        lines = [Strip([])] if shown and self._job is not None and self._job.error is not None else []
        for index, event in enumerate(shown):
            newest = index == len(shown) - 1
            pieces: list[Piece] = [
                (f"{event.time[11:19]}  ", self.colour("faint")),
                (event.message, self.colour("foreground" if newest else "muted")),
            ]
            lines.append(line(*pieces))
        return lines

    def _paragraph(self, text: str, colour: str, width: int) -> list[Strip]:
        style = self.colour(colour)
        return [
            line((part, style))
            for paragraph in text.split("\n")
            for part in wrap(one_line(paragraph), max(20, min(width, 100))) or [""]
        ]


def _sentence(job: Job) -> str:
    if job.after is not None and job.status is Status.QUEUED:
        return f"Queued: it starts when job {job.after} has completed."
    if job.unloaded:
        return "Paused, without a process: resumed, it goes on through the queue."
    return {
        Status.QUEUED: "Queued: it starts when the device is free.",
        Status.STARTING: "Starting …",
        Status.RUNNING: "Running: the first figures come in a moment.",
        Status.PAUSED: "Paused before the first figures.",
        Status.STOPPING: "Stopping …",
        Status.COMPLETED: "Completed, without figures.",
        Status.STOPPED: "Stopped before the first figures.",
        Status.FAILED: "Failed.",
        Status.LOST: "Lost: the machine went down under it.",
    }[job.status]
