"""Exporting a job's SAEs: which site, for which tool, and where to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from saetui.client.exporting import FORMATS, Export, finished, require_free
from saetui.client.task import Cancelled
from saetui.display.text import one_line
from saetui.errors import SaetuiError
from saetui.formats.names import free_name
from saetui.formats.paths import user_path
from saetui.jobs.job import Job
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.fields import Entry, FormField
from saetui.tui.screens.dialog import FormDialog, ReportDialog
from saetui.tui.widgets.field_row import ChoiceRow, FieldRow
from saetui.tui.widgets.inputs import FieldInput, PathSuggester

_FORMAT = FormField(field="format", entry=Entry.CHOICE, help="", default=FORMATS[0], choices=FORMATS)


class ExportScreen(FormDialog[dict[str, Path] | None]):
    """Asks, exports, and gives what was written: site → directory. None: cancelled, and nothing was written."""

    BOX_CLASSES = "dialog wide"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.FILLING)]
    DEFAULT_CSS = """
    ExportScreen .label { color: $muted; margin-top: 1; }
    ExportScreen ChoiceRow { margin-top: 1; background: $panel; }
    """

    def __init__(self, job: Job) -> None:
        super().__init__(f"Export {job.name}", "⏎ export   tab next   ←→ format   → complete   esc cancel")
        self._job = job
        self._sites = tuple(finished(job))
        self._format = ChoiceRow(_FORMAT, "")
        every = "all: a directory for each" if len(self._sites) > 1 else self._sites[0]
        self._site = FieldInput(placeholder=every, suggester=PathSuggester(self._sites))
        self._target = FieldInput(str(_free_place(job.name)), placeholder="a directory", suggester=PathSuggester())
        self._export: Export | None = None

    @property
    def layout_name(self) -> str:
        """The chosen format."""
        return self._format.chosen

    def compose_body(self) -> ComposeResult:
        yield Static(Text("Directory"), classes="label")
        yield self._target
        yield Static(Text("Site"), classes="label")
        yield self._site
        yield self._format
        yield Static(Text(""), classes="dialog-note")

    def on_mount(self) -> None:
        self._target.focus()
        self._say_what()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._say_what()

    def on_field_row_changed(self, event: FieldRow.Changed) -> None:
        self._say_what()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._start()

    def action_do_it(self) -> None:
        self._start()

    def action_cancel(self) -> None:
        """While it writes, the first escape ends that; the dialog closes when it has ended."""
        if self._export is None:
            self.dismiss(None)
        else:
            self._export.cancel()

    def _wrong(self) -> str:
        text, site = self._target.value.strip(), self._site.value.strip()
        if not text:
            return "Type the directory to make."
        if site and site not in self._sites:
            return f"There is no site {site}. It has {', '.join(self._sites)}."
        try:
            require_free(user_path(text))
        except SaetuiError as error:
            return " ".join(filter(None, (error.message, error.suggestion)))
        return ""

    def _say_what(self) -> None:
        wrong = self._wrong()
        if wrong:
            self.show_note(".dialog-note", wrong, wrong=True)
            return
        site, target = self._site.value.strip(), user_path(self._target.value.strip())
        what = f"the SAE of {site}" if site else f"{len(self._sites)} SAEs" if len(self._sites) > 1 else "the SAE"
        self.show_note(".dialog-note", f"Writes {what} for {self.layout_name}: {one_line(str(target))}")

    def _start(self) -> None:
        if self._export is None and not self._wrong():
            target = user_path(self._target.value.strip())
            self._export = Export(self._job, target, self.layout_name, self._site.value.strip() or None)
            self.show_note(".dialog-note", "Writing. esc cancels.")
            self._write(self._export)

    @work(group="files")
    async def _write(self, export: Export) -> None:
        """Keys go on being read meanwhile: escape cancels."""
        try:
            written = await asyncio.to_thread(export.run)
        except Cancelled:
            self.dismiss(None)
        except SaetuiError as error:
            self._export = None
            self.show_note(".dialog-note", " ".join(filter(None, (error.message, error.suggestion))), wrong=True)
        else:
            self.dismiss(written)


class ExportedScreen(ReportDialog):
    """Where the SAEs are now, and the line that loads one."""

    def __init__(self, written: dict[str, Path], layout: str) -> None:
        super().__init__("Exported")
        paths = [str(path) for path in written.values()]
        lines = [f"{name}: {path}" for name, path in zip(written, paths)]
        if layout == "saelens":
            lines += ["", "from sae_lens import SAE", f'sae = SAE.load_from_disk("{paths[0]}")']
        self._text = "\n".join(map(one_line, lines))

    def compose_body(self) -> ComposeResult:
        yield Static(Text(self._text), classes="dialog-text")

    def on_mount(self) -> None:
        self.read_body()

    def text_to_copy(self) -> str:
        return self._text


def _free_place(name: str) -> Path:
    """A directory of this name in the current one that does not exist yet."""
    try:
        taken = [entry.name for entry in Path().iterdir()]
    except OSError:
        taken = []  # the dialog says what is wrong there
    return Path.cwd() / free_name(name, taken)
