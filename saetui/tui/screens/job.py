"""One job: its charts, sites, checkpoints, events, log and settings, each on a tab."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from functools import partialmethod
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from saetui.display.figures import size
from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.protocol.messages import KeepCheckpoints
from saetui.rundir.checkpoints import CheckpointInfo, list_checkpoints
from saetui.rundir.control import rules_in_force
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention, best_of
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.history import History
from saetui.tui.job_texts import CHECKPOINT_HEADING, LogTail, checkpoint_lines, event_line, settings_lines
from saetui.tui.screens.job_keys import ACTION_COMMANDS, JobKeys, can_be_asked
from saetui.tui.screens.keep_checkpoints import KeepScreen
from saetui.tui.widgets.chart_grid import ChartGrid, HistoryRead
from saetui.tui.widgets.chart_panel import ChartPanel
from saetui.tui.widgets.headings import TabLine
from saetui.tui.widgets.job_heading import JobHead
from saetui.tui.widgets.site_list import SiteList
from saetui.tui.widgets.text_pane import Span, TextPane, TextView

TABS = ("charts", "sites", "checkpoints", "events", "log", "settings")
_READ_SECONDS = 1.0


class JobScreen(JobKeys):
    """Everything about one job."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.JOB)]

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
        self._rules: Retention | None = None

    def compose_body(self) -> ComposeResult:
        yield JobHead(self._job)
        yield TabLine(TABS)
        with Container(id="tabs"):
            yield ChartGrid(id="tab-0")
            yield SiteList()
            yield TextView(id="checkpoints", nothing="No checkpoint yet.", wraps=False, head=CHECKPOINT_HEADING)
            yield TextView(id="events", nothing="Nothing has happened yet.", follows=True, indent=22)
            yield TextView(id="log", nothing="The trainer has printed nothing.", follows=True)
            yield TextView(id="settings", nothing="The settings cannot be read.", wraps=False)

    def on_mount(self) -> None:
        self._open_tab(0)
        self.show_model()
        self._read_files()
        self._read_settings()
        self.set_interval(_READ_SECONDS, self._read_files)

    @property
    def current_job(self) -> Job:
        return self._job

    def show_model(self) -> None:
        job = self.model.jobs.get(self._job.id)
        if job is None and self.model.jobs:
            self.dismiss(None)
            return
        self._job = job or self._job
        self.query_one(JobHead).show(self._job)
        grid = self.query_one(ChartGrid)
        grid.ascii, grid.chosen = self.shell.ascii_charts, self.shell.chosen_charts
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
            self._pane("events").add_lines([event_line(event) for event in new])

    def on_chart_grid_paged(self, event: ChartGrid.Paged) -> None:
        self.query_one(TabLine).show_note(event.text)
        self.refresh_bindings()

    def step_back(self) -> bool:
        tab = self._open_widget()
        return isinstance(tab, (ChartGrid, TextView)) and tab.leave_mode()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now is offered."""
        if action in ACTION_COMMANDS:
            return can_be_asked(action, [self._job])
        if action == "more_charts":
            return self._tab == 0 and self.is_mounted and self.query_one(ChartGrid).has_more
        if action in ("log_axis", "smooth", "choose_charts"):
            return self._tab == 0
        if action == "sites":
            return self._tab == 0 and len(self._job.sites) > 1
        return True

    @work(thread=True, exclusive=True, group="files")
    def _read_files(self) -> None:
        """Read new lines of the log, and list the checkpoints."""
        lines = self._log.poll()
        checkpoints = list_checkpoints(self._run.checkpoints)
        if checkpoints and self._rules is None:
            with contextlib.suppress(SaetuiError):  # the settings tab says what is wrong
                self._rules = rules_in_force(self._run)
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
            self._pane("checkpoints").set_lines(checkpoint_lines(checkpoints, self._best(checkpoints)))

    def _best(self, checkpoints: Sequence[CheckpointInfo]) -> CheckpointInfo | None:
        return None if self._rules is None else best_of(checkpoints, self._rules.warmup_steps)

    @work
    async def action_keep_checkpoints(self) -> None:
        # The tab's own list may still be on its way when this key comes in one packet with the one that opened the screen.
        checkpoints = await asyncio.to_thread(list_checkpoints, self._run.checkpoints)
        if not checkpoints:
            self.notify("No checkpoint is saved yet.", severity="warning")
            return
        try:
            rules = await asyncio.to_thread(rules_in_force, self._run)
        except SaetuiError as error:
            self.shell.show_error(error, "The rules cannot be read")
            return
        changed = await self.shell.ask(KeepScreen(self._job.name, self._job.architecture, checkpoints, rules))
        if changed is None or changed == rules:
            return
        request = KeepCheckpoints(
            self._job.id, changed.keep_first, changed.keep_last, changed.keep_every, changed.keep_best
        )
        if await self.shell.attempt(request, "The rules were not changed") is not None:
            later = " after the next save" if self._job.holds_device else ""
            self.notify(f"Checkpoints are kept by the new rules{later}.")
            self._read_files()

    @work(thread=True, group="spec")
    def _read_settings(self) -> None:
        try:
            spec = self._run.read_spec()
        except SaetuiError as error:
            self.app.call_from_thread(self._show_settings, {}, [[(error.message, "error")]])
            return
        self.app.call_from_thread(self._show_settings, spec, settings_lines(spec))

    def _show_settings(self, spec: dict[str, Any], lines: list[list[Span]]) -> None:
        if self.is_attached:
            self._spec = spec
            self._pane("settings").set_lines([*lines, [], [(f"  directory  {self._run.path}", "muted")]])

    def _pane(self, name: str) -> TextPane:
        return self.query_one(f"#{name}", TextView).pane

    def _open_widget(self) -> Widget:
        return self.query_one("#tabs").children[self._tab]

    def _open_tab(self, index: int) -> None:
        self._tab = index % len(TABS)
        for place, widget in enumerate(self.query_one("#tabs").children):
            widget.set_class(place == self._tab, "open")
        self.query_one(TabLine).open(self._tab)
        tab = self._open_widget()
        if isinstance(tab, TextView):
            tab.focus_text()
        elif isinstance(tab, ChartGrid):
            tab.query(ChartPanel).first().focus()
        else:
            tab.focus()
        self.refresh_bindings()

    action_pane_1 = partialmethod(_open_tab, 0)
    action_pane_2 = partialmethod(_open_tab, 1)
    action_pane_3 = partialmethod(_open_tab, 2)
    action_pane_4 = partialmethod(_open_tab, 3)
    action_pane_5 = partialmethod(_open_tab, 4)
    action_pane_6 = partialmethod(_open_tab, 5)

    def action_next_pane(self) -> None:
        self._open_tab(self._tab + 1)

    def action_previous_pane(self) -> None:
        self._open_tab(self._tab - 1)

    def action_copy(self) -> None:
        """Copy what the open tab shows; for charts and sites, the path of the job's directory."""
        tab = self._open_widget()
        if tab.id == "settings" and self._spec:
            self.shell.copy(json.dumps(self._spec, indent=1), "The settings")
        elif isinstance(tab, TextView) and tab.pane.current_text:
            self.shell.copy(tab.pane.current_text, "The line")
        else:
            super().action_copy()

    def action_sites(self) -> None:
        self.query_one(ChartGrid).toggle_sites()
