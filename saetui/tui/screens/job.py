"""One job: its charts, sites, checkpoints, events, log and settings, each on a tab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Input

from saetui.display.figures import count, number, size
from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.layout import RunDirectory
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.history import METRICS, History
from saetui.tui.job_actions import clone_job, copy_directory, save_job_as_template
from saetui.tui.log_tail import LogTail
from saetui.tui.messages import HistoryRead
from saetui.tui.screens.job_keys import VERBS, JobKeys, can_be_asked
from saetui.tui.settings_text import settings_lines
from saetui.tui.widgets.asking_line import AskingLine
from saetui.tui.widgets.chart_grid import ChartGrid
from saetui.tui.widgets.chart_panel import ChartPanel
from saetui.tui.widgets.job_head import JobHead
from saetui.tui.widgets.site_list import SiteList
from saetui.tui.widgets.tab_line import TabLine
from saetui.tui.widgets.text_pane import Span, TextPane

TABS = ("charts", "sites", "checkpoints", "events", "log", "settings")
_READ_SECONDS = 1.0
_EVENT_COLOURS = {
    "warning": "warning",
    "degraded": "warning",
    "recovered": "success",
    "ended": "*strong",
    "started": "*strong",
    "paused": "state-paused",
    "resumed": "state-running",
    "checkpoint": "success",
}


class JobScreen(JobKeys):
    """Everything about one job."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.JOB)]
    DEFAULT_CSS = """
    JobScreen #tabs { height: 1fr; }
    JobScreen #tabs > * { height: 1fr; padding: 0 1; display: none; }
    JobScreen #tabs > .open { display: block; }
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._run = RunDirectory(Path(job.directory))
        self._log = LogTail(self._run.log)
        self._spec: dict[str, Any] = {}
        self._tab = 0
        self._events_shown = 0
        self._history: History | None = None
        self._checkpoints: list[CheckpointInfo] | None = None

    def compose_body(self) -> ComposeResult:
        yield JobHead(self._job)
        yield TabLine(TABS)
        with Container(id="tabs"):
            yield ChartGrid(METRICS, id="tab-0")
            yield SiteList()
            yield TextPane(id="checkpoints", nothing="No checkpoint yet.", wraps=False)
            yield TextPane(id="events", nothing="Nothing has happened yet.", follows=True, indent=22)
            yield TextPane(id="log", nothing="The trainer has printed nothing.", follows=True)
            yield TextPane(id="settings", nothing="The settings cannot be read.", wraps=False)
        yield AskingLine("find", "letters, then ⏎; n and N go on", id="job-search")

    def on_mount(self) -> None:
        self._pane("checkpoints").head = [
            (f"{'step':>12}  {'saved (UTC)':<20} {'size':>9}  {'held FVU':>8} {'held L0':>8}  directory", "muted")
        ]
        self._open_tab(0)
        self.show_model()
        self._read_files()
        self._read_spec()
        self.set_interval(_READ_SECONDS, self._read_files)

    def targets(self) -> list[Job]:
        """What the keys act on."""
        return [self._job]

    def show_model(self) -> None:
        job = self.model.jobs.get(self._job.id)
        if job is None and self.model.jobs:
            self.dismiss(None)
            return
        self._job = job or self._job
        self.query_one(JobHead).show(self._job)
        grid = self.query_one(ChartGrid)
        grid.ascii = self.saetui.ascii_charts
        grid.show(self._job)
        self.query_one(SiteList).show(self._job, grid.history)

    def on_history_read(self, event: HistoryRead) -> None:
        history = self.query_one(ChartGrid).history
        if history is None:
            return
        self.query_one(SiteList).show(self._job, history)
        if history is not self._history:
            self._history, self._events_shown = history, 0
            self._pane("events").set_lines([])
        new = history.events[self._events_shown :]
        self._events_shown += len(new)
        if new:
            self._pane("events").add_lines(
                [_event_line(event.time, event.kind, event.step, event.message) for event in new]
            )

    def step_back(self) -> bool:
        asking = self.query_one(AskingLine)
        if asking.display:
            asking.display = False
            self._focus_tab()
            return True
        pane = self._open_pane()
        if pane is not None and pane.sought:
            pane.search("")
            return True
        return self._tab == 0 and self.query_one(ChartGrid).leave_mode()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now is offered."""
        if action in VERBS:
            return can_be_asked(action, [self._job])
        if action in ("log_axis", "smooth"):
            return self._tab == 0
        if action == "sites":
            return self._tab == 0 and len(self._job.sites) > 1
        return True

    @work(thread=True, exclusive=True, group="files")
    def _read_files(self) -> None:
        """New lines of the log, and the checkpoints there are."""
        lines = self._log.poll()
        checkpoints = list_checkpoints(self._run.checkpoints)
        if lines or checkpoints != self._checkpoints:
            self.app.call_from_thread(self._show_files, lines, checkpoints)

    def _show_files(self, lines: list[str], checkpoints: list[CheckpointInfo]) -> None:
        if not self.is_attached:
            return
        log = self._pane("log")
        if lines and (left_out := self._log.new_left_out()):
            log.add_lines([[(f"… {size(left_out)} before this: {self._run.log}", "muted")]])
        log.add_lines([[(text, "foreground")] for text in lines])
        if checkpoints != self._checkpoints:
            self._checkpoints = checkpoints
            self._pane("checkpoints").set_lines(_checkpoint_lines(checkpoints))

    @work(thread=True, group="spec")
    def _read_spec(self) -> None:
        try:
            spec = self._run.read_spec()
        except SaetuiError as error:
            self.app.call_from_thread(self._show_spec, {}, [[(error.message, "error")]])
            return
        self.app.call_from_thread(self._show_spec, spec, settings_lines(spec))

    def _show_spec(self, spec: dict[str, Any], lines: list[list[Span]]) -> None:
        if self.is_attached:
            self._spec = spec
            self._pane("settings").set_lines([*lines, [], [(f"  directory  {self._run.path}", "muted")]])

    def _pane(self, name: str) -> TextPane:
        return self.query_one(f"#{name}", TextPane)

    def _open_pane(self) -> TextPane | None:
        widget = list(self.query_one("#tabs").children)[self._tab]
        return widget if isinstance(widget, TextPane) else None

    def _open_tab(self, index: int) -> None:
        self._tab = index % len(TABS)
        for number_, widget in enumerate(self.query_one("#tabs").children):
            widget.set_class(number_ == self._tab, "open")
        self.query_one(TabLine).open(self._tab)
        self.query_one(AskingLine).display = False
        self._focus_tab()
        self.refresh_bindings()

    def _focus_tab(self) -> None:
        if self._tab == 0:
            self.query(ChartPanel).first().focus()
        else:
            list(self.query_one("#tabs").children)[self._tab].focus()

    def action_pane_1(self) -> None:
        self._open_tab(0)

    def action_pane_2(self) -> None:
        self._open_tab(1)

    def action_pane_3(self) -> None:
        self._open_tab(2)

    def action_pane_4(self) -> None:
        self._open_tab(3)

    def action_pane_5(self) -> None:
        self._open_tab(4)

    def action_pane_6(self) -> None:
        self._open_tab(5)

    def action_next_pane(self) -> None:
        self._open_tab(self._tab + 1)

    def action_previous_pane(self) -> None:
        self._open_tab(self._tab - 1)

    def on_text_pane_search_wanted(self) -> None:
        asking = self.query_one(AskingLine)
        asking.field.value = ""
        asking.open()

    def on_input_changed(self, event: Input.Changed) -> None:
        pane = self._open_pane()
        if pane is not None:
            pane.search(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        pane = self._open_pane()
        if pane is not None and event.value and not pane.search(event.value):
            self.notify(f"No line has “{event.value}”.", markup=False)
        self.query_one(AskingLine).display = False
        self._focus_tab()

    @work
    async def action_clone(self) -> None:
        await clone_job(self.saetui, self._job)

    @work
    async def action_make_template(self) -> None:
        await save_job_as_template(self.saetui, self._job)

    def action_copy(self) -> None:
        """What the open tab shows; of charts and sites there is nothing to paste but where they are."""
        pane = self._open_pane()
        if self._tab == len(TABS) - 1 and self._spec:
            self.saetui.copy(json.dumps(self._spec, indent=1), "The settings")
        elif pane is not None and pane.current_text:
            self.saetui.copy(pane.current_text, "The line")
        else:
            copy_directory(self.saetui, self._job)

    def action_log_axis(self) -> None:
        self.query_one(ChartGrid).toggle_log()

    def action_smooth(self) -> None:
        self.query_one(ChartGrid).next_smoothing()

    def action_sites(self) -> None:
        self.query_one(ChartGrid).toggle_sites()


def _event_line(time: str, kind: str, step: int | None, message: str) -> list[Span]:
    where = f"step {count(step)}" if step is not None else ""
    return [
        (f"{time[11:19]}  ", "faint"),
        (f"{kind:<11} ", "muted"),
        (message, _EVENT_COLOURS.get(kind, "foreground")),
        (f"  {where}" if where and where not in message else "", "muted"),
    ]


def _checkpoint_lines(checkpoints: list[CheckpointInfo]) -> list[list[Span]]:
    lines: list[list[Span]] = []
    for found in sorted(checkpoints, key=lambda checkpoint: -checkpoint.step):
        when = found.created_at[:19].replace("T", " ")
        held_out = f"{number(found.fvu):>8} {number(found.l0):>8}"
        lines.append(
            [
                (f"{count(found.step):>12}  ", "*strong"),
                (f"{when:<20} {size(found.size_bytes):>9}  {held_out}  ", "foreground"),
                (found.path.name, "muted"),
            ]
        )
    return lines
