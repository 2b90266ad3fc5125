"""Templates: search, preview, use, and every change of the list with a way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.jobs.template_files import EXPORT_NAME, export_text, read_template_file, write_template_file
from saetui.jobs.templates import Template, search_templates, sort_templates
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.confirm import ConfirmScreen
from saetui.tui.screens.file_path import FilePathScreen, ImportReportScreen
from saetui.tui.screens.save_template import SaveTemplateScreen
from saetui.tui.widgets.field_row import FieldInput
from saetui.tui.widgets.form_title import FormTitle
from saetui.tui.widgets.line_list import LineList
from saetui.tui.widgets.template_list import TemplateList
from saetui.tui.widgets.template_preview import TemplatePreview


@dataclass(frozen=True)
class Change:
    """A change of the list that can be taken back."""

    what: str
    take_back: Callable[[], Awaitable[object]]


_CHANGES: WeakKeyDictionary[App[Any], list[Change]] = WeakKeyDictionary()
"""Changes that can be taken back, for as long as the app runs."""


class TemplatesScreen(SaetuiScreen[None]):
    """All templates, the highlighted one in full beside them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.TEMPLATES)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so
    DEFAULT_CSS = """
    TemplatesScreen #templates-body { height: 1fr; }
    TemplatesScreen #templates-left { width: 34; }
    TemplatesScreen.-wide #templates-left { width: 1fr; }
    TemplatesScreen TemplatePreview { border-left: solid $line; }
    TemplatesScreen.-wide TemplatePreview { width: 62; }
    TemplatesScreen FieldInput { display: none; width: 1fr; }
    TemplatesScreen.searching FieldInput { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._list = TemplateList()
        self._preview = TemplatePreview()
        self._title = FormTitle("Templates")
        self._search = FieldInput("", numeric=False)
        self._search.placeholder = "search"
        self._wanted_before: str | None = None
        self._applied = False
        self._follow: str | None = None  # to be highlighted as soon as it is in the list

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
        if self._follow in [template.id for template in found]:
            self._list.highlight(str(self._follow))
            self._follow = None
        total = len(self.model.templates)
        self._title.say(f"{total}" if len(found) == total else f"{len(found)} of {total}")
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
        if self._applied and self.saetui.wanted_job != self._wanted_before:
            self.call_after_refresh(self.dismiss, None)  # the training was started: its job is on the screen beneath
        self._applied = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        template = self._list.highlighted
        if action in ("apply", "favorite", "duplicate", "export_file", "mark", "mark_all", "copy"):
            return template is not None
        if action in ("rename", "delete"):
            return template is not None
        if action == "undo":
            return bool(_CHANGES.get(self.app))
        return True

    def action_apply(self) -> None:
        template = self._list.highlighted
        if template is not None:
            self._applied, self._wanted_before = True, self.saetui.wanted_job
            self.saetui.open_form(template.spec, template.id)

    def action_new(self) -> None:
        self._applied, self._wanted_before = True, self.saetui.wanted_job
        self.saetui.open_form()

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
            self.saetui.copy(export_text([template]), "Template")

    @work(group="change")
    async def action_favorite(self) -> None:
        template = self._list.highlighted
        if template is None:
            return
        wanted = not template.favorite
        changed = await self._ask(self.commands.edit_template(template.id, favorite=wanted), "It was not changed")
        if changed is not None:
            name = one_line(template.name)
            self._changed(
                f"{name} is {'a favourite' if wanted else 'no longer a favourite'}.",
                Change(f"favourite of {name}", lambda: self.commands.edit_template(template.id, favorite=not wanted)),
            )

    @work(group="change")
    async def action_duplicate(self) -> None:
        template = self._list.highlighted
        if template is None:
            return
        made = await self._ask(self.commands.duplicate_template(template.id), "No copy was made")
        if made is not None:
            self._changed(
                f"{one_line(made.name)} is a copy.",
                Change(f"copy {one_line(made.name)}", lambda: self.commands.delete_template(made.id)),
            )
            self._follow = made.id
            self.show_model()

    @work(group="change")
    async def action_rename(self) -> None:
        template = self._own()
        if template is None:
            return
        others = [known.name for known in self.model.templates if known.id != template.id]
        words = await self.app.push_screen_wait(
            SaveTemplateScreen(
                f"Rename {one_line(template.name)}",
                suggested=template.name,
                taken=others,
                name=template.name,
                description=template.description,
            )
        )
        if words is None:
            return
        name = words.name or template.name
        edit = self.commands.edit_template(template.id, name=name, description=words.description)
        if await self._ask(edit, "It was not renamed") is not None:
            self._changed(
                f"Now {one_line(name)}.",
                Change(
                    f"name {one_line(template.name)}",
                    lambda: self.commands.edit_template(
                        template.id, name=template.name, description=template.description
                    ),
                ),
            )

    @work(group="change")
    async def action_delete(self) -> None:
        template = self._own()
        if template is None:
            return
        name = one_line(template.name)
        sure = await self.app.push_screen_wait(
            ConfirmScreen(f"Delete {name}?", "z brings it back while saetui is open.", do="Delete", cancel="Keep")
        )
        if sure and await self._ask(self.commands.delete_template(template.id), "It was not deleted") is not None:
            self._changed(f"{name} is deleted.", Change(name, lambda: self.commands.restore_template(template)))

    @work(group="change")
    async def action_undo(self) -> None:
        changes = _CHANGES.get(self.app)
        if not changes:
            return
        change = changes.pop()
        if await self._ask(_carry_out(change), "It could not be taken back") is not None:
            self.notify(f"Taken back: {change.what}.", markup=False)
        self.refresh_bindings()

    @work(group="change")
    async def action_import_file(self) -> None:
        path = await self.app.push_screen_wait(FilePathScreen("Import templates from", must_exist=True))
        if path is None:
            return
        try:
            text = await asyncio.to_thread(read_template_file, path)
            result = await self.commands.import_templates(text)
        except SaetuiError as error:
            self.saetui.tell(error, "Nothing came in")
            return
        if result.imported:
            came = len(result.imported)
            self._changed(
                f"{came} template{'' if came == 1 else 's'} came in.",
                Change("the import", lambda: self._delete_all(result.imported)),
            )
        if result.refused:
            await self.app.push_screen_wait(ImportReportScreen(result))

    @work(group="change")
    async def action_export_file(self) -> None:
        marked = [template for template in self._list.templates if template.id in self._list.marked]
        chosen = marked or ([self._list.highlighted] if self._list.highlighted else [])
        if not chosen:
            return
        what = one_line(chosen[0].name) if len(chosen) == 1 else f"{len(chosen)} templates"
        path = await self.app.push_screen_wait(FilePathScreen(f"Export {what} to", EXPORT_NAME, must_exist=False))
        if path is None:
            return
        if path.exists():
            question = ConfirmScreen(
                f"Replace {one_line(path.name)}?", "The file is there already.", do="Replace", cancel="Keep"
            )
            if not await self.app.push_screen_wait(question):
                return
        try:
            await asyncio.to_thread(write_template_file, path, export_text(chosen), overwrite=True)
        except SaetuiError as error:
            self.saetui.tell(error, "Nothing was written")
        else:
            self.notify(f"{what} → {one_line(str(path.absolute()))}", title="Exported", markup=False)

    def _own(self) -> Template | None:
        """The highlighted template, if it may be changed; says so where it may not."""
        template = self._list.highlighted
        if template is not None and template.builtin:
            self.notify(
                f"{template.name} is built in and read-only. d makes a copy that you can change.",
                severity="warning",
                markup=False,
            )
            return None
        return template

    async def _ask(self, request: Awaitable[Any], title: str) -> Any:
        try:
            return await request
        except SaetuiError as error:
            self.saetui.tell(error, title)
            return None

    async def _delete_all(self, templates: tuple[Template, ...]) -> bool:
        for template in templates:
            await self.commands.delete_template(template.id)
        return True

    def _changed(self, said: str, change: Change) -> None:
        _CHANGES.setdefault(self.app, []).append(change)
        self.notify(f"{said}   z takes it back", markup=False)
        self.refresh_bindings()

    def _show_preview(self) -> None:
        self._preview.show(self._list.highlighted)
        self.refresh_bindings()


async def _carry_out(change: Change) -> bool:
    await change.take_back()
    return True
