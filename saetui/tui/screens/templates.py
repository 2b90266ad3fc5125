"""Templates: search, preview, use, and every change of the list with an undo."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.jobs.template_files import EXPORT_NAME, export_text, read_template_file, write_template_file
from saetui.jobs.templates import Template, search_templates, sort_templates
from saetui.protocol import messages
from saetui.protocol.messages import BaseRequest, R
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.dialog import ConfirmScreen
from saetui.tui.screens.file_path import FilePathScreen, ImportReportScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.shell import Undoable
from saetui.tui.widgets.headings import ScreenTitle
from saetui.tui.widgets.inputs import FieldInput
from saetui.tui.widgets.line_list import LineList
from saetui.tui.widgets.template_list import TemplateList
from saetui.tui.widgets.template_preview import TemplatePreview

_NEED_A_TEMPLATE = {
    "apply", "favorite", "duplicate", "export_file", "mark", "mark_all", "copy", "rename", "delete",
}  # fmt: skip


class TemplatesScreen(SaetuiScreen[None]):
    """All templates, and the highlighted one in full beside them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.TEMPLATES)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so

    def __init__(self) -> None:
        super().__init__()
        self._list = TemplateList()
        self._preview = TemplatePreview()
        self._title = ScreenTitle("Templates")
        self._search = FieldInput(placeholder="search")
        self._wanted_before: str | None = None
        self._form_opened = False
        self._new_id: str | None = None  # a template to highlight as soon as it is in the list

    def compose_body(self) -> ComposeResult:
        yield self._title
        with Horizontal(id="templates-body"):
            with Vertical(id="templates-left"):
                yield self._search
                yield self._list
            yield self._preview

    def on_mount(self) -> None:
        self._list.focus()
        self.show_model()

    def show_model(self) -> None:
        found = search_templates(sort_templates(self.model.templates), self._search.value)
        self._list.show(found, self._search.value.strip())
        if self._new_id is not None and self._list.highlight(self._new_id):
            self._new_id = None
        total = len(self.model.templates)
        self._title.show_note(f"{total}" if len(found) == total else f"{len(found)} of {total}")
        self._show_preview()

    def step_back(self) -> bool:
        if not self.has_class("searching"):
            return False
        self.remove_class("searching")
        self._search.value = ""
        self._list.focus()
        return True

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self._show_preview()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.show_model()

    def on_input_submitted(self) -> None:
        self._list.focus()

    def on_screen_resume(self) -> None:
        if self._form_opened and self.shell.wanted_job != self._wanted_before:
            self.call_after_refresh(self.dismiss, None)  # the training was started: its job is on the screen beneath
        self._form_opened = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in _NEED_A_TEMPLATE:
            return self._list.highlighted is not None
        return bool(self.shell.undoable) if action == "undo" else True

    def action_apply(self) -> None:
        template = self._list.highlighted
        if template is not None:
            self._form_opened, self._wanted_before = True, self.shell.wanted_job
            self.shell.open_form(template.spec, template.id)

    def action_new(self) -> None:
        self._form_opened, self._wanted_before = True, self.shell.wanted_job
        self.shell.open_form()

    def action_filter(self) -> None:
        self.add_class("searching")
        self._search.focus()

    def action_mark(self) -> None:
        self._list.toggle_mark()

    def action_mark_all(self) -> None:
        self._list.toggle_all()

    def action_copy(self) -> None:
        template = self._list.highlighted
        if template is not None:
            self.shell.copy(export_text([template]), "Template")

    @work(group="change")
    async def action_favorite(self) -> None:
        template = self._list.highlighted
        if template is None:
            return
        wanted = not template.favorite
        request = messages.EditTemplate(template.id, favorite=wanted)
        if await self.shell.attempt(request, "The template was not changed") is not None:
            name = one_line(template.name)
            self._changed(
                f"{name} is {'a favourite' if wanted else 'no longer a favourite'}.",
                f"favourite of {name}",
                messages.EditTemplate(template.id, favorite=not wanted),
            )

    @work(group="change")
    async def action_duplicate(self) -> None:
        template = self._list.highlighted
        if template is None:
            return
        answer = await self.shell.attempt(messages.DuplicateTemplate(template.id), "No copy was made")
        if answer is not None:
            copy = answer.template
            name = one_line(copy.name)
            self._changed(f"The copy is called {name}.", f"copy {name}", messages.DeleteTemplate(copy.id))
            self._new_id = copy.id
            self.show_model()

    @work(group="change")
    async def action_rename(self) -> None:
        template = self._editable()
        if template is None:
            return
        words = await self.shell.ask(
            SaveTemplateScreen(
                f"Rename {one_line(template.name)}",
                suggested=template.name,
                taken=[known.name for known in self.model.templates if known.id != template.id],
                name=template.name,
                description=template.description,
            )
        )
        if words is None:
            return
        name = words.name or template.name
        request = messages.EditTemplate(template.id, name, words.description)
        if await self.shell.attempt(request, "The template was not renamed") is not None:
            back = messages.EditTemplate(template.id, template.name, template.description)
            self._changed(f"The template is now called {one_line(name)}.", f"name {one_line(template.name)}", back)

    @work(group="change")
    async def action_delete(self) -> None:
        template = self._editable()
        if template is None:
            return
        name = one_line(template.name)
        sure = await self.shell.ask(
            ConfirmScreen(f"Delete {name}?", "z brings it back while saetui is open.", do="Delete", cancel="Keep")
        )
        if (
            sure
            and await self.shell.attempt(messages.DeleteTemplate(template.id), "The template was not deleted")
            is not None
        ):
            self._changed(f"{name} is deleted.", name, messages.RestoreTemplate(template))

    @work(group="change")
    async def action_undo(self) -> None:
        if not self.shell.undoable:
            return
        change = self.shell.undoable.pop()
        for request in change.requests:
            if await self.shell.attempt(request, "This cannot be undone") is None:
                break
        else:
            self.notify(f"Undone: {change.name}.", markup=False)
        self.refresh_bindings()

    @work(group="change")
    async def action_import_file(self) -> None:
        path = await self.shell.ask(FilePathScreen("Import templates from", must_exist=True))
        if path is None:
            return
        try:
            text = await asyncio.to_thread(read_template_file, path)
            result = (await self.shell.request(messages.ImportTemplates(text))).result
        except SaetuiError as error:
            self.shell.show_error(error, "Nothing was imported")
            return
        if result.imported:
            count = len(result.imported)
            self._changed(
                "1 template was imported." if count == 1 else f"{count} templates were imported.",
                "the import",
                *(messages.DeleteTemplate(template.id) for template in result.imported),
            )
        if result.refused:
            await self.shell.ask(ImportReportScreen(result))

    @work(group="change")
    async def action_export_file(self) -> None:
        marked = [template for template in self._list.items if template.id in self._list.marked]
        chosen = marked or ([self._list.highlighted] if self._list.highlighted else [])
        if not chosen:
            return
        name = one_line(chosen[0].name) if len(chosen) == 1 else f"{len(chosen)} templates"
        path = await self.shell.ask(FilePathScreen(f"Export {name} to", EXPORT_NAME, must_exist=False))
        if path is None:
            return
        if path.exists():
            question = ConfirmScreen(
                f"Replace {one_line(path.name)}?", "A file of this name exists.", do="Replace", cancel="Keep"
            )
            if not await self.shell.ask(question):
                return
        try:
            await asyncio.to_thread(write_template_file, path, export_text(chosen), overwrite=True)
        except SaetuiError as error:
            self.shell.show_error(error, "Nothing was exported")
        else:
            self.notify(f"{name} → {one_line(str(path.absolute()))}", title="Exported", markup=False)

    def _editable(self) -> Template | None:
        """The highlighted template, if it may be changed; a notice where it may not."""
        template = self._list.highlighted
        if template is not None and template.builtin:
            self.notify(
                f"{template.name} is built in and read-only. d makes a copy that you can change.",
                severity="warning",
                markup=False,
            )
            return None
        return template

    def _changed(self, notice: str, name: str, *undo: BaseRequest[R]) -> None:
        self.shell.undoable.append(Undoable(name, undo))
        self.notify(f"{notice}   z undoes it", markup=False)
        self.refresh_bindings()

    def _show_preview(self) -> None:
        self._preview.show(self._list.highlighted)
        self.refresh_bindings()
