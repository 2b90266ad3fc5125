"""The charts of one job: reads its history in a thread, and draws the curves as they grow."""

from __future__ import annotations

import math
import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget

from saetui.jobs.job import Job, Status
from saetui.rundir.layout import RunDirectory
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.axes import last_shown_step
from saetui.tui.charts import GUTTER, MARGIN
from saetui.tui.curves import View
from saetui.tui.history import History, Metric
from saetui.tui.widgets.chart_panel import ChartPanel
from saetui.tui.widgets.job_notice import JobNotice

POLL_SECONDS = 1.0
_POLL_SHARE = 20
"""An expensive poll (of a long history) is repeated less often, so that polling takes a twentieth of the time at most."""

SMOOTHINGS = (0.0, 0.8, 0.97)
_NARROWEST_ZOOM = 10
"""Steps."""
_MOVES = 4
"""A zoomed view that follows the newest step moves by this part of its width: each move redraws the whole chart."""


@dataclass
class ChartOptions:
    """How curves are shown; shared by all charts of a screen.

    Attributes:
        zoom: the share of all steps that is shown.
        centre: the step in the middle of a zoomed view; None: it follows the newest step.
        inspect: the logged step whose values are read.
    """

    log: bool = False
    smoothing: int = 0
    each_site: bool = False
    zoom: float = 1.0
    centre: float | None = None
    inspect: float | None = None


class HistoryRead(Message):
    """New rows of a job's metrics or events were read from its directory."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, HistoryRead) and message.job == self.job


class ChartGrid(Widget):
    """Charts in as many columns as there is room for. Posts `HistoryRead` when there are new rows."""

    DEFAULT_CSS = """
    ChartGrid { layout: vertical; }
    ChartGrid #panels { layout: grid; grid-size: 2; grid-gutter: 0 1; }
    ChartGrid JobNotice { display: none; }
    ChartGrid.notice #panels { display: none; }
    ChartGrid.notice JobNotice { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.CHART)]

    def __init__(self, metrics: Sequence[Metric], *, focusable: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.options = ChartOptions()
        self.history: History | None = None
        self.job: Job | None = None
        self.ascii = False
        self.panels = [ChartPanel(metric, focusable=focusable) for metric in metrics]
        self._drawn_for: tuple[object, ...] = ()
        self._polled = 0.0
        self._finished = ""
        self._expanded = False

    def compose(self) -> ComposeResult:
        with Container(id="panels"):
            yield from self.panels
        yield JobNotice()

    def on_mount(self) -> None:
        self.set_interval(POLL_SECONDS, self._poll_if_due)

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    def show(self, job: Job | None) -> None:
        """Show this job: at once the rows read so far, then new ones."""
        previous, self.job = self.job, job
        if job is None:
            self.history = None
        elif self.history is None or self.history.job != job.id or _starts_again(previous, job):
            self.history = History(job.id, RunDirectory(Path(job.directory)), job.sites)
            self.options.inspect = self.options.centre = None
            self.options.zoom = 1.0
            self._finished = ""
            for panel in self.panels:
                panel.clear()
            self._poll()
        elif previous is not None and previous.status is not job.status:
            self._finished = ""
        if self.has_class("notice") or self._drawn_for != self._looks():
            self.redraw()

    def redraw(self) -> None:
        """Draw the newest curves with the current options."""
        job, history = self.job, self.history
        waiting = job is None or history is None or history.empty
        self._drawn_for = self._looks()
        self.set_class(waiting, "notice")
        if waiting or job is None or history is None:
            self.query_one(JobNotice).show(job, history)
            return
        view = self._view(job, history)
        for panel in self.panels:
            if panel.display:
                panel.show(history.curves(panel.metric, each_site=self.options.each_site), view)

    def _looks(self) -> tuple[object, ...]:
        """Everything but the rows and the options that the charts depend on. A job's newest figures are no part of it."""
        job = self.job
        return (self.history, job and (job.status, job.num_steps), self.ascii, self.app.theme)

    def _view(self, job: Job, history: History) -> View:
        options = self.options
        end = last_shown_step(history.last_step, job.num_steps, ended=job.status.ended)
        span = min(end, max(end * options.zoom, _NARROWEST_ZOOM))
        if options.centre is None:
            move = span / _MOVES
            last = max(span, min(end, math.ceil(history.last_step / move) * move)) if options.zoom < 1.0 else end
        else:
            last = min(max(options.centre + span / 2, span), end)
        return View(
            last - span, last, whole=span == end, log=options.log, smoothing=SMOOTHINGS[options.smoothing],
            ascii=self.ascii, inspect=options.inspect,
        )  # fmt: skip

    def _poll_if_due(self) -> None:
        """Poll a running job again and again, and an ended one once more after its end. A covered screen rests."""
        job, history = self.job, self.history
        if job is None or history is None or not self.is_attached or self._finished == job.id:
            return
        if not self.screen.is_current:
            return
        wait = max(POLL_SECONDS * 0.9, history.poll_seconds * _POLL_SHARE)
        if time.monotonic() - self._polled >= wait:
            if job.status.ended:
                self._finished = job.id
            self._poll()

    @work(thread=True, exclusive=True, group="history", exit_on_error=True)
    def _poll(self) -> None:
        history = self.history
        if history is not None and history.poll():
            self.post_message(HistoryRead(history.job))
        self._polled = time.monotonic()

    def on_history_read(self, event: HistoryRead) -> None:
        if self.history is not None and event.job == self.history.job:
            self.redraw()

    def toggle_log(self) -> None:
        self.options.log = not self.options.log
        self.redraw()

    def next_smoothing(self) -> None:
        self.options.smoothing = (self.options.smoothing + 1) % len(SMOOTHINGS)
        self.redraw()

    def toggle_sites(self) -> None:
        self.options.each_site = not self.options.each_site
        self.redraw()

    def leave_mode(self) -> bool:
        """Leave inspection, then the zoom, then the enlarged chart. Returns False where there was none to leave."""
        if self.options.inspect is not None:
            self.options.inspect = None
        elif self.options.zoom < 1.0:
            self.options.zoom, self.options.centre = 1.0, None
        elif self._expanded:
            self.action_expand()
        else:
            return False
        self.redraw()
        return True

    def action_inspect_left(self) -> None:
        self._inspect(-1)

    def action_inspect_right(self) -> None:
        self._inspect(1)

    def action_zoom_in(self) -> None:
        self._zoom(0.5)

    def action_zoom_out(self) -> None:
        self._zoom(2.0)

    def action_zoom_all(self) -> None:
        self._zoom(1e9)

    def action_expand(self) -> None:
        focused = self.screen.focused
        if not isinstance(focused, ChartPanel):
            return
        self._expanded = not self._expanded
        for panel in self.panels:
            panel.display = not self._expanded or panel is focused
        self._arrange()
        self.call_after_refresh(self.redraw)

    def _inspect(self, direction: int) -> None:
        """Read the first logged step that is a column further, or else the next one."""
        job, history = self.job, self.history
        steps = self._read_panel().steps
        if job is None or history is None or not steps:
            return
        view = self._view(job, history)
        at = self.options.inspect
        if at is None:
            place = bisect_right(steps, view.last) - 1
        else:
            columns = max(8, self._read_panel().content_size.width - GUTTER - MARGIN)
            target = at + direction * (view.last - view.first) / columns
            place = bisect_left(steps, target) if direction > 0 else bisect_right(steps, target) - 1
        step = steps[min(max(place, 0), len(steps) - 1)]
        self.options.inspect = float(step)
        if not view.first <= step <= view.last:
            self.options.centre = float(step)
        self.redraw()

    def _read_panel(self) -> ChartPanel:
        """The chart whose steps are inspected."""
        focused = self.screen.focused
        return focused if isinstance(focused, ChartPanel) else self.panels[0]

    def _zoom(self, factor: float) -> None:
        job, history, options = self.job, self.history, self.options
        if job is None or history is None:
            return
        end = last_shown_step(history.last_step, job.num_steps, ended=job.status.ended)
        options.zoom = min(1.0, max(min(1.0, _NARROWEST_ZOOM / end), options.zoom * factor))
        options.centre = None if options.zoom == 1.0 else options.centre if options.inspect is None else options.inspect
        self.redraw()

    def _arrange(self) -> None:
        """One column of charts where the grid is narrow and high, else two or three; all equally high."""
        shown = sum(panel.display for panel in self.panels)
        width, height = self.size
        columns = 1
        if shown > 1:
            columns = 1 if width < 50 and height >= 6 * shown else 3 if width >= 150 and shown > 4 else 2
        grid = self.query_one("#panels")
        rows = max(1, -(-shown // columns))
        grid.styles.grid_size_columns = columns
        grid.styles.grid_size_rows = rows


def _starts_again(previous: Job | None, job: Job) -> bool:
    """Whether another attempt of the same job starts, which may have replaced its files."""
    if previous is None or previous.id != job.id:
        return False
    return job.step < previous.step or (previous.status is Status.QUEUED and job.status is Status.STARTING)
