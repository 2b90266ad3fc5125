"""The charts of one job: reads its history in a thread, and draws the curves as they grow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from saetui.jobs.job import Job, Status
from saetui.rundir.layout import RunDirectory
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.axes import last_shown_step
from saetui.tui.chart_options import SMOOTHINGS, ChartOptions
from saetui.tui.charts import GUTTER, MARGIN
from saetui.tui.curves import View
from saetui.tui.history import History
from saetui.tui.metrics import Metric, in_order
from saetui.tui.widgets.chart_panel import ChartPanel
from saetui.tui.widgets.job_notice import JobNotice

POLL_SECONDS = 1.0
_POLL_SHARE = 20
"""An expensive poll (of a long history) is repeated less often, so that polling takes a twentieth of the time at most."""
_DRAW_SHARE = 10
"""And drawing (of many sites) a tenth."""

MOST_PANELS = 12
_TWO_COLUMNS, _THREE_COLUMNS = 70, 150
"""Cells from which on so many charts stand beside each other."""
_TWO_ROWS, _ROW = 17, 11
"""Lines for two rows of charts, and for each of more than two."""


class HistoryRead(Message):
    """New rows of a job's metrics or events were read from its directory."""

    def __init__(self, job: str) -> None:
        super().__init__()
        self.job = job

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, HistoryRead) and message.job == self.job


class ChartGrid(Widget):
    """As many charts as are readable at this size; the others are on further pages.

    Posts `HistoryRead` when there are new rows, and `Paged` when other charts are shown.

    Attributes:
        chosen: the columns whose charts come first.
    """

    DEFAULT_CSS = """
    ChartGrid { layout: vertical; }
    ChartGrid #panels { layout: grid; grid-size: 2; grid-gutter: 0 1; }
    ChartGrid JobNotice { display: none; }
    ChartGrid.notice #panels { display: none; }
    ChartGrid.notice JobNotice { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.CHART)]

    class Paged(Message):
        """Other charts are shown. `text` says which, "" where these are all."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, focusable: bool = True, id: str | None = None) -> None:
        super().__init__(id=id)
        self.options = ChartOptions()
        self.history: History | None = None
        self.job: Job | None = None
        self.ascii = False
        self.chosen: Sequence[str] = ()
        self._chosen: Sequence[str] = ()
        self.panels = [ChartPanel(focusable=focusable) for _ in range(MOST_PANELS)]
        self._metrics: list[Metric] = []
        self._first = 0
        self._paged = ""
        self._drawn_for: tuple[object, ...] = ()
        self._polled = 0.0
        self._draw_seconds = 0.0
        self._finished = ""
        self._expanded: Metric | None = None

    @property
    def has_more(self) -> bool:
        """There are charts on other pages."""
        return bool(self._paged)

    def compose(self) -> ComposeResult:
        with Container(id="panels"):
            yield from self.panels
        yield JobNotice()

    def on_mount(self) -> None:
        self.set_interval(POLL_SECONDS, self._poll_if_due)

    def on_resize(self, event: Resize) -> None:
        self.redraw()

    def show(self, job: Job | None) -> None:
        """Show this job: at once the rows read so far, then new ones."""
        previous, self.job = self.job, job
        if job is None:
            self.history = None
        elif self.history is None or self.history.job != job.id or _starts_again(previous, job):
            self.history = History(job.id, RunDirectory(Path(job.directory)), job.sites)
            self.options.forget_place()
            self._finished = ""
            self._expanded = None
            for panel in self.panels:
                panel.clear()
            self._poll()
        elif previous is not None and previous.status is not job.status:
            self._finished = ""
        if self.has_class("notice") or self._drawn_for != self._looks():
            self.redraw()

    def redraw(self) -> None:
        """Draw the newest curves with the current options."""
        if not self.is_attached:
            return
        job, history = self.job, self.history
        waiting = job is None or history is None or history.empty
        self._drawn_for = self._looks()
        self.set_class(waiting, "notice")
        if waiting or job is None or history is None:
            self.query_one(JobNotice).show(job, history)
            return
        if self._chosen != self.chosen:
            self._chosen, self._first = self.chosen, 0
        started = time.monotonic()
        self._metrics = in_order(history.recorded, self.chosen, job.architecture)
        view = self._view(job, history)
        for panel, metric in zip(self.panels, self._arrange()):
            panel.show(metric, history.curves(metric, each_site=self.options.each_site), view)
        self._draw_seconds = time.monotonic() - started

    def _looks(self) -> tuple[object, ...]:
        """Everything but the rows and the options that the charts depend on. A job's newest figures are no part of it."""
        job = self.job
        return (self.history, job and (job.status, job.num_steps), self.ascii, self.app.theme, self.chosen)

    def _view(self, job: Job, history: History) -> View:
        return self.options.view(history.last_step, _end(job, history), ascii=self.ascii)

    def _poll_if_due(self) -> None:
        """Poll a running job again and again, and an ended one once more after its end. A covered screen rests."""
        job, history = self.job, self.history
        if job is None or history is None or not self.is_attached or self._finished == job.id:
            return
        if not self.screen.is_current:
            return
        wait = max(POLL_SECONDS * 0.9, history.poll_seconds * _POLL_SHARE, self._draw_seconds * _DRAW_SHARE)
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
        if not self.options.leave():
            if self._expanded is None:
                return False
            self._expanded = None
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
        if self._expanded is not None:
            self._expanded = None
        elif isinstance(focused, ChartPanel):
            self._expanded = focused.metric
        self.redraw()

    def action_next_page(self) -> None:
        self.turn(1)

    def action_previous_page(self) -> None:
        self.turn(-1)

    def turn(self, pages: int) -> None:
        """Show the charts of another page; after the last page comes the first."""
        if not self._metrics:
            return
        if self._expanded is not None:
            place = self._metrics.index(self._expanded) if self._expanded in self._metrics else 0
            self._expanded = self._metrics[(place + pages) % len(self._metrics)]
        else:
            columns, rows = _room(self.size, len(self._metrics))
            count = -(-len(self._metrics) // (columns * rows))
            self._first = (self._first // (columns * rows) + pages) % count * columns * rows
        self.redraw()

    def _inspect(self, direction: int) -> None:
        job, history = self.job, self.history
        focused = self.screen.focused
        panel = focused if isinstance(focused, ChartPanel) else self.panels[0]
        if job is None or history is None or not panel.steps:
            return
        columns = max(8, panel.content_size.width - GUTTER - MARGIN)
        self.options.inspect_next(panel.steps, direction, self._view(job, history), columns)
        self.redraw()

    def _zoom(self, factor: float) -> None:
        if self.job is None or self.history is None:
            return
        self.options.zoom_by(factor, _end(self.job, self.history))
        self.redraw()

    def _arrange(self) -> list[Metric]:
        """Display as many panels as there is room for, and say which. Returns their metrics."""
        total = len(self._metrics)
        if self._expanded is not None and self._expanded in self._metrics:
            columns, rows, first = 1, 1, self._metrics.index(self._expanded)
        else:
            columns, rows = _room(self.size, total)
            first = self._first = min(self._first, total - 1) // (columns * rows) * columns * rows
        shown = self._metrics[first : first + columns * rows]
        grid = self.query_one("#panels")
        grid.styles.grid_size_columns, grid.styles.grid_size_rows = columns, rows
        for index, panel in enumerate(self.panels):
            panel.display = index < len(shown)
        focused = self.screen.focused
        if focused in self.panels and not focused.display:
            self.panels[0].focus()
        places = f"{first + 1}" if len(shown) == 1 else f"{first + 1}–{first + len(shown)}"
        text = f"{places} of {total}" if len(shown) < total else ""
        if text != self._paged:
            self._paged = text
            self.post_message(self.Paged(text))
        return shown


def _end(job: Job, history: History) -> float:
    return last_shown_step(history.last_step, job.num_steps, ended=job.status.ended)


def _room(size: Size, total: int) -> tuple[int, int]:
    """How many columns and rows of charts are readable at a size; no more than `total` charts need."""
    columns = 1 if size.width < _TWO_COLUMNS else 2 if size.width < _THREE_COLUMNS else 3
    rows = 1 if size.height < _TWO_ROWS else min(max(2, size.height // _ROW), MOST_PANELS // columns)
    columns = max(1, min(columns, total))
    return columns, max(1, min(rows, -(-total // columns)))


def _starts_again(previous: Job | None, job: Job) -> bool:
    """Whether another attempt of the same job starts, which may have replaced its files."""
    if previous is None or previous.id != job.id:
        return False
    return job.step < previous.step or (previous.status is Status.QUEUED and job.status is Status.STARTING)
