"""New training: the form, the help of the focused field, what it comes to, and the start."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.timer import Timer
from textual.worker import get_current_worker

from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.jobs.templates import generated_name
from saetui.spec.editing import absolute_paths
from saetui.spec.problems import Problem, SpecError, errors_of
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft import Draft
from saetui.tui.draft_check import NOTHING_SEEN, Look, look_at, model_of
from saetui.tui.fields import HOOK_POINTS_HELP, LAYERS_HELP
from saetui.tui.run_figures import run_figures, worked_out
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.pick import PickEntry, PickScreen, dataset_entries, model_entries
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.widgets.field_help import NOTHING, FieldHelp, HelpText
from saetui.tui.widgets.form_section import SectionHeading
from saetui.tui.widgets.form_title import FormTitle
from saetui.tui.widgets.start_row import Readiness, StartState
from saetui.tui.widgets.training_form import TrainingForm, first_of_each
from saetui.tui.widgets.training_summary import TrainingSummary

LOOK_DELAY = 0.25
"""Seconds without a key before the machine is asked: short enough to feel at once, long enough to type a path."""

_KEPT: WeakKeyDictionary[App[None], Draft] = WeakKeyDictionary()
"""The form that was left without a start, for as long as the app runs: leaving it loses nothing."""


class NewTrainingScreen(SaetuiScreen[Job | None]):
    """Sets up a training. The result is the job that was made; None: left without a start."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.NEW)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so
    DEFAULT_CSS = """
    NewTrainingScreen #new-body { height: 1fr; }
    NewTrainingScreen #new-side { width: 40; layout: vertical; border-left: solid $line; }
    NewTrainingScreen.-narrow #new-body { layout: vertical; }
    NewTrainingScreen.-narrow #new-side { width: 1fr; height: 6; layout: horizontal; border-left: none; border-top: solid $line; }
    NewTrainingScreen.-narrow TrainingSummary { width: 34; height: 5; }
    NewTrainingScreen.-narrow SectionHeading { height: 1; padding-top: 0; }
    NewTrainingScreen.-narrow #new-side SectionHeading { display: none; }
    NewTrainingScreen #new-side SectionHeading { padding-top: 0; height: 1; }
    """

    def __init__(self, spec: dict[str, Any] | None = None, template: str | None = None) -> None:
        """
        Args:
            spec: raw JSON to fill the form with, any field missing.
            template: the id of the template that it came from; its use is counted at the start.
        """
        super().__init__()
        self._given = spec
        self._given_template = template
        self._form = TrainingForm(Draft())
        self._help = FieldHelp()
        self._summary = TrainingSummary()
        self._title = FormTitle()
        self._look = NOTHING_SEEN
        self._looked = False
        self._found: tuple[Problem, ...] = ()  # what only the machine could tell at the last look
        self._edited: set[str] = set()  # fields that have changed since
        self._start_when_looked = False
        self._starting = False
        self._refusal: tuple[Problem, ...] = ()
        self._before: Draft | None = None
        self._timer: Timer | None = None

    @property
    def draft(self) -> Draft:
        """What stands in the form."""
        return self._form.draft

    @property
    def looked(self) -> bool:
        """Whether the machine has been asked about what stands there now."""
        return self._looked

    def compose_body(self) -> ComposeResult:
        if self._given is not None:
            self._fill(self._given, self._given_template)
        elif self.app in _KEPT:
            self._form.draft = _KEPT.pop(self.app)
            self._title.say("as you left it   ^n empties it")
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
        self._look_now()

    def step_back(self) -> bool:
        if self.draft.raw() != Draft().raw() or self.draft.typing_problems():
            _KEPT[self.app] = self.draft
            self.notify("The form is kept: n opens it again as you left it.")
        return False

    def on_training_form_edited(self, event: TrainingForm.Edited) -> None:
        self._refusal = ()
        self._edited.add(event.field)
        self._show_again()

    def on_training_form_pick_wanted(self, event: TrainingForm.PickWanted) -> None:
        self._pick(event.field)

    def on_start_row_pressed(self) -> None:
        self.action_start()

    def on_descendant_focus(self) -> None:
        self._show_help()

    def action_start(self) -> None:
        if self._starting:
            return
        wrong = errors_of(self._problems())
        if wrong:
            self._go_to_first(wrong)
        elif not self._looked:
            self._start_when_looked = True
            self._look_now()
        else:
            self._submit()

    def action_advanced(self) -> None:
        self._form.unfold_all()

    def action_reset_field(self) -> None:
        self._form.reset_field()

    def action_reset_form(self) -> None:
        self._before = self.draft
        self._form.draft = Draft()
        self._title.say("emptied   ^z brings back what was there")
        self._form.rebuild()
        self._show_again()

    def action_undo_form(self) -> None:
        if self._before is None:
            return
        self._form.draft, self._before = self._before, self.draft
        self._title.say("as it was before   ^z again goes forth")
        self._form.rebuild()
        self._show_again()

    @work(group="dialog")
    async def action_load_template(self) -> None:
        entries = [
            PickEntry(
                template.id,
                ("★ " if template.favorite else "  ") + one_line(template.name),
                one_line(template.description),
            )
            for template in self.model.templates
        ]
        chosen = await self.app.push_screen_wait(
            PickScreen("Fill the form from a template", entries, nothing="There are no templates.")
        )
        template = next((template for template in self.model.templates if template.id == chosen), None)
        if template is None:
            return
        self._before = self.draft
        self._fill(template.spec, template.id)
        self._form.rebuild()
        self._show_again()

    @work(group="dialog")
    async def action_save_template(self) -> None:
        unreadable = self.draft.typing_problems()
        if unreadable:
            self._go_to_first(unreadable)
            return
        spec = absolute_paths(self.draft.raw(), Path.cwd())
        spec.pop("name", None)
        words = await self.app.push_screen_wait(
            SaveTemplateScreen(
                "Save the form as a template",
                suggested=generated_name(spec),
                taken=[template.name for template in self.model.templates],
            )
        )
        if words is None:
            return
        try:
            saved = await self.commands.save_template(spec, words.name, words.description)
        except SaetuiError as error:
            self.saetui.tell(error, "The template was not saved")
        else:
            self.notify(f"Saved as {one_line(saved.name)}.", markup=False)

    @work(exclusive=True, group="submit")
    async def _submit(self) -> None:
        self._starting = True
        self._show_state()
        spec = absolute_paths(self.draft.raw(), Path.cwd())
        try:
            submitted = await self.commands.submit(spec, self.draft.template)
        except SpecError as error:
            self._refusal = tuple(error.problems)
            self._form.show(self._problems(), self._look)
            self._go_to_first(errors_of(self._refusal))
        except SaetuiError as error:
            self.saetui.tell(error, "The training was not started")
        else:
            _KEPT.pop(self.app, None)
            self.notify(f"{one_line(submitted.job.name)} is queued.", markup=False)
            self.dismiss(submitted.job)
            return
        finally:
            self._starting = False
        self._show_state()

    @work(group="dialog")
    async def _pick(self, field: str) -> None:
        is_model = field == "model"
        try:
            entries = await asyncio.to_thread(model_entries if is_model else dataset_entries)
        except SaetuiError as error:
            self.saetui.tell(error, "The list cannot be read")
            return
        free = "the path of a directory" if is_model else "the path of a file or directory"
        chosen = await self.app.push_screen_wait(
            PickScreen("Model" if is_model else "Dataset", entries, free=free, current=self.draft.text(field))
        )
        if chosen is not None:
            self.draft.set_text(field, chosen)
            self._edited.add(field)
            self._show_again()
            self._form.focus_field(field)

    @work(thread=True, exclusive=True, group="names")
    def _learn_names(self) -> None:
        try:
            models = [entry.value for entry in model_entries()]
            datasets = [entry.value for entry in dataset_entries()]
        except SaetuiError:
            return  # only completion is lost; the look says what is wrong
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._form.set_known_names, "model", models)
            self.app.call_from_thread(self._form.set_known_names, "dataset.source", datasets)

    def _look_now(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._look_in_thread(self.draft.raw(), tuple(self.draft.typing_problems()))

    @work(thread=True, exclusive=True, group="look")
    def _look_in_thread(self, raw: dict[str, Any], unreadable: tuple[Problem, ...]) -> None:
        look = look_at(absolute_paths(raw, Path.cwd()), unreadable, self._look, self.model.device)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._take_look, raw, look)

    def _take_look(self, raw: dict[str, Any], look: Look) -> None:
        if not self.is_running or raw != self.draft.raw():
            return  # another key has been pressed since; a newer look is on its way
        by_fields = self.draft.problems()
        self._found = tuple(problem for problem in look.problems if problem not in by_fields)
        self._edited.clear()
        self._look, self._looked = look, True
        self._form.show(self._problems(), look)
        self._show_state()
        if self._start_when_looked:
            self._start_when_looked = False
            self.action_start()

    def _show_again(self) -> None:
        """The draft has changed: show what follows at once, and look at the machine when the typing pauses."""
        self._looked = False
        self._start_when_looked = False
        self._form.show(self._problems(), self._look)
        self._show_state()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(LOOK_DELAY, self._look_now)

    def _problems(self) -> Sequence[Problem]:
        """What is known to be wrong: all of it after a look; before, what the fields say by themselves."""
        if self._refusal:
            return self._refusal
        if self._looked:
            return self._look.problems
        return [*self.draft.problems(), *(old for old in self._found if old.field not in self._edited)]

    def _show_state(self) -> None:
        state = StartState(Readiness.STARTING) if self._starting else StartState.of(self._problems(), self._looked)
        self._form.start.show(state)
        self._summary.show(
            run_figures(self.draft, self._look.model), state, self._look.foretold if self._looked else None
        )
        self._show_help()

    def _show_help(self) -> None:
        by_field = first_of_each(self._problems())
        field = self._form.focused_field() or ""
        problem = by_field.pop(field, None)
        self._help.show(
            self._help_of(field), problem, sorted(by_field.values(), key=lambda other: self._form.order_of(other.field))
        )

    def _help_of(self, field: str) -> HelpText:
        row = self._form.focused_row()
        if row is not None:
            return HelpText.of(row.info)
        if field == "layers":
            return HelpText("layers", LAYERS_HELP, (("keys", "space select, a all, x clear, arrows or hjkl move"),))
        if field == "hook_points":
            return HelpText("hook_points", HOOK_POINTS_HELP, (("keys", "space select, a all, x clear"),))
        return NOTHING

    def _go_to_first(self, wrong: Sequence[Problem]) -> None:
        by_field = first_of_each(wrong)
        field = min(by_field, key=self._form.order_of)
        if not self._form.focus_field(field):
            self.notify(by_field[field].sentence(), severity="error", markup=False)

    def _fill(self, spec: dict[str, Any], template: str | None) -> None:
        draft = Draft()
        for field in ("model", "dataset.source"):
            draft.set_text(field, self.draft.text(field))
        info = model_of(spec.get("model") or draft.text("model"), spec.get("revision"))
        draft.load(spec, None if info is None else info.hidden_size)
        draft.template = template
        made = worked_out(draft, info).get("name", "")
        if made and re.fullmatch(re.escape(made) + r"(_\d+)?", draft.text("name")):
            draft.set_text("name", "")  # nobody typed it, so it goes on following the rest
        self._form.draft = draft
        known = next((known for known in self.model.templates if known.id == template), None)
        self._title.say(
            f"from template {one_line(known.name)}" if known is not None else "a copy: nothing runs until you start it"
        )
