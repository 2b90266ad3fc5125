"""Jobs, the first screen: the list, and the highlighted job's live charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Input

from saetui.jobs.job import Job
from saetui.jobs.templates import DEMO_NAME, DEMO_SPEC
from saetui.protocol.messages import Submit
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.job_filter import wrong_words
from saetui.tui.job_order import Sorting, listed
from saetui.tui.kept_order import KeptOrder
from saetui.tui.screens.job_keys import ACTION_COMMANDS, JobKeys, can_be_asked
from saetui.tui.widgets.chart_grid import ChartGrid
from saetui.tui.widgets.inputs import AskingLine
from saetui.tui.widgets.job_heading import JobLine
from saetui.tui.widgets.job_list import JobList
from saetui.tui.widgets.job_notice import Welcome
from saetui.tui.widgets.line_list import LineList

_CHARTS_AFTER = 0.1
"""Seconds that the cursor rests on a job before its charts are read: j held down reads none."""


class JobsScreen(JobKeys):
    """List and charts; every action on jobs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.JOBS)]

    def __init__(self) -> None:
        super().__init__()
        self._marked: frozenset[str] = frozenset()
        self._order = KeptOrder()
        self._filter = ""

    def compose_body(self) -> ComposeResult:
        yield Welcome()
        with Vertical(id="jobs-body"):
            with Vertical(id="jobs-list"):
                yield AskingLine("filter", "words, state:failed, fvu<0.3 …", id="jobs-filter")
                yield JobList()
            yield JobLine()
            yield ChartGrid(focusable=False, id="jobs-charts")

    def on_mount(self) -> None:
        self.query_one(JobList).focus()
        self.show_model()

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    def show_model(self) -> None:
        model = self.model
        self.set_class(not model.jobs, "no-jobs")
        self.set_class(not model.known, "unknown")
        self._marked &= model.jobs.keys()
        if model.preferences is not None:
            self._order.follow(model.preferences.order)
        self._show_list()
        if model.jobs and self.focused is None:
            # The list can only take the focus once it is displayed.
            self.call_after_refresh(self.query_one(JobList).focus)

    def _show_list(self) -> None:
        jobs = listed(self.model.jobs.values(), self._order.sorting, self._filter)
        table = self.query_one(JobList)
        nothing = ""
        if self._filter:
            why = wrong_words(self._filter)
            nothing = why or f"No job has “{self._filter}”. esc shows all again."
            self.query_one(AskingLine).show_note(why or f"{len(jobs)} of {len(self.model.jobs)}  esc shows all")
        table.ascii = self.shell.ascii_charts
        table.show(jobs, self._marked, self._order.sorting, nothing, self.model.places())
        wanted = self.shell.wanted_job
        if wanted is not None and table.highlight(wanted):
            self.shell.wanted_job = None
            table.repaint()
        self._arrange()
        self._show_charts()

    def _show_charts(self) -> None:
        job = self.query_one(JobList).highlighted
        self.query_one(JobLine).show(job)
        grid = self.query_one(ChartGrid)
        grid.ascii, grid.chosen = self.shell.ascii_charts, self.shell.chosen_charts
        grid.show(job)

    def on_chart_grid_paged(self, event: ChartGrid.Paged) -> None:
        self.query_one(JobLine).show_note(event.text)
        self.refresh_bindings()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self.query_one(JobLine).show(self.query_one(JobList).highlighted)
        self.refresh_bindings()
        self.set_timer(_CHARTS_AFTER, lambda index=event.index: self._show_charts_of(index))

    def _show_charts_of(self, index: int) -> None:
        if self.query_one(JobList).cursor == index:
            self._show_charts()

    def _arrange(self) -> None:
        """The list takes what its rows need, the charts the rest."""
        room = max(6, self.size.height - 2)
        filter_line = 1 if self.query_one(AskingLine).display else 0
        rows = len(self.query_one(JobList).items) + 1 + filter_line
        self.query_one("#jobs-list").styles.height = min(max(rows, 4), max(5, int(room * 0.38)))

    def step_back(self) -> bool:
        if self._filter or self.query_one(AskingLine).display:
            self._close_filter()
            return True
        if self._marked:
            self._marked = frozenset()
            self._show_list()
            return True
        return self.query_one(ChartGrid).leave_mode()

    @property
    def current_job(self) -> Job | None:
        return self.query_one(JobList).highlighted

    def targets(self) -> list[Job]:
        """The marked jobs that the list shows, or else the highlighted one: never a job that the filter hides."""
        marked = [job for job in self.query_one(JobList).items if job.id in self._marked]
        return marked or super().targets()

    def hidden_marks(self) -> int:
        shown = {job.id for job in self.query_one(JobList).items}
        return len(self._marked - shown)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now is offered."""
        if not self.is_mounted:
            return True
        if action in _NEED_A_JOB and not self.model.jobs:
            return False
        if action in ACTION_COMMANDS:
            return can_be_asked(action, self.targets())
        if action == "more_charts":
            return self.query_one(ChartGrid).has_more
        if action == "first_demo":
            return not self.model.jobs
        return action != "demo" or bool(self.model.jobs)

    def action_open(self) -> None:
        job = self.query_one(JobList).highlighted
        if job is not None:
            from saetui.tui.screens.job import JobScreen

            self.app.push_screen(JobScreen(job))

    def action_new(self) -> None:
        self.shell.open_form()

    def action_templates(self) -> None:
        self.shell.open_templates()

    @work
    async def action_first_demo(self) -> None:
        await self.action_demo()

    async def action_demo(self) -> None:
        request = Submit({"name": DEMO_NAME, **DEMO_SPEC})
        if (submitted := await self.shell.attempt(request, "The demo cannot be started")) is None:
            return
        self.shell.wanted_job = submitted.job.id
        self.shell.redraw()
        self.notify("The demo is starting. It goes on when you leave saetui.")

    def action_mark(self) -> None:
        table = self.query_one(JobList)
        if table.highlighted is not None:
            self._marked ^= {table.highlighted.id}
            self._show_list()
            table.move_to(table.cursor + 1)

    def action_mark_all(self) -> None:
        shown = frozenset(job.id for job in self.query_one(JobList).items)
        self._marked = frozenset() if shown <= self._marked else self._marked | shown
        self._show_list()

    def action_mark_state(self) -> None:
        table = self.query_one(JobList)
        if table.highlighted is None:
            return
        alike = frozenset(job.id for job in table.items if job.status is table.highlighted.status)
        self._marked = self._marked - alike if alike <= self._marked else self._marked | alike
        self._show_list()

    def unmark(self, jobs: Sequence[Job]) -> None:
        self._marked -= {job.id for job in jobs}
        self._show_list()

    def action_sort(self) -> None:
        self._sort(self._order.sorting.following)

    def action_turn_order(self) -> None:
        self._sort(self._order.sorting.turned_round)

    def _sort(self, sorting: Sorting) -> None:
        self._order.choose(sorting)
        self.shell.set_preference("order", sorting.preference)
        self._show_list()

    def action_filter(self) -> None:
        self.query_one(AskingLine).open()
        self._arrange()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter = event.value
        self._show_list()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value:
            self._close_filter()
        self.query_one(JobList).focus()

    def _close_filter(self) -> None:
        self.query_one(AskingLine).close()
        self.query_one(AskingLine).show_note("")
        self._filter = ""
        self.query_one(JobList).focus()
        self._show_list()

    def action_pane_1(self) -> None:
        self.query_one(JobList).focus()

    action_pane_2 = action_open


_NEED_A_JOB = {
    "open", "mark", "mark_all", "mark_state", "filter", "sort", "turn_order", "clone", "make_template", "copy", "export", "log_axis",
    "smooth", "more_charts", "choose_charts", "pane_1", "pane_2",
}  # fmt: skip
