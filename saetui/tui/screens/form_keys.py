"""Keys of the form that do not type: templates, the editor, the estimate in full, and emptying and undoing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual import work

from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.jobs.job import Job
from saetui.jobs.templates import Template, generated_name
from saetui.protocol.messages import EditTemplate, SaveTemplate
from saetui.spec.editing import absolute_paths
from saetui.spec.estimates import Estimate
from saetui.spec.problems import Problem
from saetui.tui.draft import DEFAULT_DATASET, DEFAULT_MODEL, Draft
from saetui.tui.draft_check import filled_draft
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.estimate import EstimateScreen
from saetui.tui.screens.pick import PickEntry, PickScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.shell import Undoable
from saetui.tui.spec_editor import read_spec, run_editor, write_spec
from saetui.tui.widgets.training_form import TrainingForm


class FormKeys(SaetuiScreen[Job | None]):
    """The handlers of these keys, for the screen with the form."""

    def __init__(self) -> None:
        super().__init__()
        self._form = TrainingForm(Draft())
        self._before: Draft | None = None

    @property
    def draft(self) -> Draft:
        """The content of the form."""
        return self._form.draft

    def show_other(self, note: str | None = None) -> None:
        """Another draft is in the form. `note`: beside the title."""
        raise NotImplementedError

    def fill(self, spec: dict[str, Any], template: str | None) -> None:
        """Put a spec into the form. `template`: the id of the template that it is from."""
        raise NotImplementedError

    def go_to_first(self, wrong: Sequence[Problem]) -> None:
        """Put the focus on the first field with a problem."""
        raise NotImplementedError

    async def estimate_when_checked(self) -> Estimate | None:
        """The estimate of what the form holds, once that is checked; None where something in it is wrong."""
        raise NotImplementedError

    def action_advanced(self) -> None:
        self._form.unfold_all()

    def action_reset_field(self) -> None:
        self._form.reset_field()

    def action_reset_form(self) -> None:
        self._before, self._form.draft = self.draft, Draft()
        self.show_other("emptied   ^z brings its content back")

    def action_undo_form(self) -> None:
        if self._before is not None:
            self._form.draft, self._before = self._before, self.draft
            self.show_other("as it was before   ^z switches back")

    @work(group="dialog")
    async def action_show_estimate(self) -> None:
        found = await self.estimate_when_checked()
        if found is None:
            self.notify("The memory is known once nothing in the form is wrong.", severity="warning")
        else:
            await self.shell.ask(EstimateScreen(found))

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
        dialog = PickScreen("Fill the form from a template", entries, nothing="There are no templates.")
        template = self._template(await self.shell.ask(dialog))
        if template is not None:
            self._before = self.draft
            self.fill(self._with_own_text(template), template.id)
            self.show_other()

    @work(group="dialog")
    async def action_save_template(self) -> None:
        unreadable = self.draft.typing_problems()
        if unreadable:
            self.go_to_first(unreadable)
            return
        spec = absolute_paths(self.draft.raw(), Path.cwd())
        spec.pop("name", None)
        origin = self._template(self.draft.template)
        own = None if origin is None or origin.builtin else origin
        words = await self.shell.ask(
            SaveTemplateScreen(
                "Save the form as a template",
                suggested=generated_name(spec) if own is None else own.name,
                taken=[template.name for template in self.model.templates],
                name="" if own is None else own.name,
                description="" if own is None else own.description,
                replaces="" if own is None else own.name,
            )
        )
        if words is None:
            return
        if own is not None and words.name in ("", own.name):
            await self._replace(own, spec, words.description)
            return
        request = SaveTemplate(spec, words.name, words.description)
        if (saved := await self.shell.attempt(request, "The template was not saved")) is not None:
            self.notify(f"Saved as template {one_line(saved.template.name)}.", markup=False)

    @work(group="dialog")
    async def action_edit_as_text(self) -> None:
        unreadable = self.draft.typing_problems()
        if unreadable:
            self.go_to_first(unreadable)
            return
        raw = self.draft.raw()
        try:
            with tempfile.TemporaryDirectory(prefix="saetui-") as folder:
                path = Path(folder, "spec.json")
                write_spec(path, raw)
                edited = await self._edited(path)
        except OSError as error:
            full = SaetuiError(f"No file can be made for the editor: {error.strerror}.", "Free some space in /tmp.")
            self.shell.show_error(full, "The form is as it was")
            return
        if edited is not None and edited != raw:
            self._before = self.draft
            self._form.draft = filled_draft(self.draft, edited, self.draft.template)
            self.show_other("from the editor   ^z brings back what was there")

    async def _edited(self, path: Path) -> dict[str, Any] | None:
        """The spec as the user has edited it; None where nothing is to be taken over."""
        while True:
            try:
                run_editor(self.app, path)
            except SaetuiError as error:
                self.shell.show_error(error, "The form is as it was")
                return None
            try:
                return read_spec(path)
            except SaetuiError as error:
                text = "\n".join(part for part in (error.message, error.suggestion) if part)
                question = ConfirmScreen("This is not a spec", text, do="Edit again", cancel="Leave the form as it was")
                if not await self.shell.ask(question):
                    return None

    def _with_own_text(self, template: Template) -> dict[str, Any]:
        """Its spec. A built-in one for a model of the Hub names the bundled text for want of a better one, which may stand here."""
        chosen = self.draft.text("dataset.source")
        if not template.builtin or template.spec["model"] == DEFAULT_MODEL or chosen == DEFAULT_DATASET:
            return template.spec
        return {**template.spec, "dataset": {**template.spec["dataset"], "source": chosen}}

    async def _replace(self, own: Template, spec: dict[str, Any], description: str) -> None:
        request = EditTemplate(own.id, description=description, spec=spec)
        if await self.shell.attempt(request, "The template was not changed") is not None:
            name = one_line(own.name)
            undo = EditTemplate(own.id, description=own.description, spec=own.spec)
            self.shell.undoable.append(Undoable(f"settings of {name}", (undo,)))
            self.notify(f"Template {name} has these settings now. z among the templates undoes it.", markup=False)

    def _template(self, template_id: str | None) -> Template | None:
        return next((template for template in self.model.templates if template.id == template_id), None)
