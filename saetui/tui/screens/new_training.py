"""New training: the form, the help of the focused field, the size of the training, and the start."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.worker import get_current_worker

from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.protocol.messages import Submit
from saetui.spec.editing import absolute_paths
from saetui.spec.estimates import Estimate
from saetui.spec.problems import Problem, SpecError, errors_of
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft import Draft
from saetui.tui.draft_check import DraftCheck, KnownProblems, check_draft, filled_draft, machine_problems
from saetui.tui.run_figures import run_figures
from saetui.tui.screens.form_keys import FormKeys
from saetui.tui.screens.layer_range import LayerRangeScreen
from saetui.tui.screens.pick import PickScreen, dataset_entries, model_entries
from saetui.tui.widgets.field_help import FieldHelp
from saetui.tui.widgets.headings import ScreenTitle, SectionHeading
from saetui.tui.widgets.layer_grid import LayerGrid
from saetui.tui.widgets.start_row import Readiness, StartState
from saetui.tui.widgets.toggle_grid import ToggleGrid
from saetui.tui.widgets.training_form import TrainingForm, first_of_each
from saetui.tui.widgets.training_summary import TrainingSummary

CHECK_DELAY = 0.25
"""Seconds without a key before the machine is checked: short enough to feel immediate, long enough to type a path."""


class NewTrainingScreen(FormKeys):
    """Sets up a training. The result is the job that was made; None: left without a start."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.NEW)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(self, spec: dict[str, Any] | None = None, template: str | None = None) -> None:
        """
        Args:
            spec: raw JSON to fill the form with, any field missing.
            template: the id of the template that it came from; its use is counted at the start.
        """
        super().__init__()
        self._given = spec
        self._given_template = template
        self._help = FieldHelp()
        self._summary = TrainingSummary()
        self._title = ScreenTitle("New training")
        self._known = KnownProblems()
        self._check_over = asyncio.Event()
        self._starting = False
        self._as_filled: tuple[dict[str, Any], list[Problem]] = (Draft().raw(), [])  # without the user's edits
        self._timer: Timer | None = None

    @property
    def checked(self) -> bool:
        """Whether the present content was checked against the machine."""
        return self._known.current

    def compose_body(self) -> ComposeResult:
        if self._given is not None:
            self.fill(self._given, self._given_template)
            self._as_filled = self._content()
        elif self.shell.kept_draft is not None:
            self._form.draft, self.shell.kept_draft = self.shell.kept_draft, None
            self._title.show_note("as you left it   ^n empties it")
        yield self._title
        with Horizontal(id="new-body"):
            yield self._form
            with Container(id="new-side"):
                yield self._help
                yield SectionHeading("In all", indent=1)
                yield self._summary

    def on_mount(self) -> None:
        self._form.focus_field("model")
        self.call_after_refresh(self._form.scroll_home, animate=False)
        self._learn_names()
        self._check_now()

    def show_model(self) -> None:
        self._form.show(self._problems(), self._known.last)
        self._show_state()

    def step_back(self) -> bool:
        if self._content() != self._as_filled:
            self.shell.kept_draft = self.draft
            self.notify("The form is kept: n opens it again as you left it.")
        return False

    def _content(self) -> tuple[dict[str, Any], list[Problem]]:
        return self.draft.raw(), self.draft.typing_problems()

    def on_training_form_edited(self, event: TrainingForm.Edited) -> None:
        self._known.edit(event.field)
        self._show_edited()

    def on_training_form_pick_wanted(self, event: TrainingForm.PickWanted) -> None:
        self._pick(event.field)

    def on_toggle_grid_range_wanted(self, event: ToggleGrid.RangeWanted) -> None:
        if isinstance(event.grid, LayerGrid):
            self._ask_for_layers(event.grid)

    def on_start_row_pressed(self) -> None:
        self.action_start()

    def on_descendant_focus(self) -> None:
        self._show_help()

    def action_start(self) -> None:
        if self._starting:
            return
        wrong = errors_of(self._problems())
        if wrong:
            self.go_to_first(wrong)
        else:
            self._start_when_checked()

    async def estimate_when_checked(self) -> Estimate | None:
        await self._check_soon()
        return self._estimate

    @work(exclusive=True, group="submit")
    async def _start_when_checked(self) -> None:
        """Start the training once its content is checked. A key typed meanwhile waits; an edit calls the start off."""
        await self._check_soon()
        if not self.checked:
            return
        wrong = errors_of(self._problems())
        if wrong:
            self.go_to_first(wrong)
        else:
            await self._submit()

    async def _check_soon(self) -> None:
        """Check the content if it has changed since it was checked; an edit meanwhile ends the wait."""
        if not self.checked:
            self._check_over.clear()
            self._check_now()
            await self._check_over.wait()

    @property
    def _estimate(self) -> Estimate | None:
        return self._known.last.estimate if self.checked else None

    async def _submit(self) -> None:
        self._starting = True
        self._show_state()
        spec = absolute_paths(self.draft.raw(), Path.cwd())
        try:
            submitted = await self.shell.request(Submit(spec, self.draft.template))
        except SpecError as error:
            self._known.refuse(error.problems)
            self._form.show(self._problems(), self._known.last)
            self.go_to_first(errors_of(error.problems))
        except SaetuiError as error:
            self.shell.show_error(error, "The training was not started")
        else:
            self.shell.kept_draft = None
            self.notify(f"{one_line(submitted.job.name)} is queued.", markup=False)
            self.dismiss(submitted.job)
            return
        finally:
            self._starting = False
        self._show_state()

    @work(group="dialog")
    async def _ask_for_layers(self, grid: LayerGrid) -> None:
        layers = await self.shell.ask(LayerRangeScreen(grid.items))
        if layers is not None:
            grid.choose(layers)

    @work(group="dialog")
    async def _pick(self, field: str) -> None:
        is_model = field == "model"
        try:
            entries = await asyncio.to_thread(model_entries if is_model else dataset_entries)
        except SaetuiError as error:
            self.shell.show_error(error, "The list cannot be read")
            return
        free = "the path of a directory" if is_model else "the path of a file or directory"
        chosen = await self.shell.ask(
            PickScreen("Model" if is_model else "Dataset", entries, free=free, current=self.draft.text(field))
        )
        if chosen is not None:
            self.draft.set_text(field, chosen)
            self._known.edit(field)
            self._show_edited()
            self._form.focus_field(field)

    @work(thread=True, exclusive=True, group="names")
    def _learn_names(self) -> None:
        try:
            models = [entry.value for entry in model_entries()]
            datasets = [entry.value for entry in dataset_entries()]
        except SaetuiError:
            return  # only completion is lost; the check reports the reason
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._form.set_known_names, "model", models)
            self.app.call_from_thread(self._form.set_known_names, "dataset.source", datasets)

    def _check_now(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._check_in_thread(self.draft.raw(), tuple(self.draft.typing_problems()))

    @work(thread=True, exclusive=True, group="check")
    def _check_in_thread(self, raw: dict[str, Any], unreadable: tuple[Problem, ...]) -> None:
        check = check_draft(absolute_paths(raw, Path.cwd()), unreadable, self._known.last, self.model.device)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._take_check, raw, check)

    def _take_check(self, raw: dict[str, Any], check: DraftCheck) -> None:
        if not self.is_running or raw != self.draft.raw():
            return  # the form was edited since, and a newer check follows
        self._known.take(check, self.draft)
        self._form.show(self._problems(), check)
        self._show_state()
        self._check_over.set()

    def show_other(self, note: str | None = None) -> None:
        """Another draft is in the form."""
        self._known.refuse(())
        if note is not None:
            self._title.show_note(note)
        self._form.rebuild()
        self._show_edited()

    def _show_edited(self) -> None:
        """The draft has changed: show the consequences at once, and check the machine when the typing pauses."""
        self._known.current = False
        self._check_over.set()
        self._form.show(self._problems(), self._known.last)
        self._show_state()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CHECK_DELAY, self._check_now)

    def _problems(self) -> Sequence[Problem]:
        return [*machine_problems(self.model.device), *self._known.of(self.draft)]

    def _show_state(self) -> None:
        state = StartState(Readiness.STARTING) if self._starting else StartState.of(self._problems(), self.checked)
        check = self._known.last
        self._form.start.show(state)
        self._summary.show(run_figures(self.draft, check.model), state, self._estimate)
        self._show_help()

    def _show_help(self) -> None:
        by_field = first_of_each(self._problems())
        field = self._form.focused_field() or ""
        problem = by_field.pop(field, None)
        others = sorted(by_field.values(), key=lambda other: self._form.order_of(other.field))
        self._help.show(self._form.focused_help(), problem, others)

    def go_to_first(self, wrong: Sequence[Problem]) -> None:
        by_field = first_of_each(wrong)
        field = min(by_field, key=self._form.order_of)
        if not self._form.focus_field(field):
            self.notify(by_field[field].sentence(), severity="error", markup=False)

    def fill(self, spec: dict[str, Any], template: str | None) -> None:
        self._form.draft = filled_draft(self.draft, spec, template, {job.name for job in self.model.jobs.values()})
        known = next((known for known in self.model.templates if known.id == template), None)
        origin = "a copy: nothing runs until you start it" if known is None else f"from template {one_line(known.name)}"
        self._title.show_note(origin)
