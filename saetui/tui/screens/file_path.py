"""Dialogs for files of templates: the path to read or write, and the entries that were refused."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Static

from saetui.display.text import one_line
from saetui.formats.paths import why_no_path, why_unreachable
from saetui.jobs.template_files import ImportResult
from saetui.tui.screens.dialog import FormDialog, ReportDialog
from saetui.tui.widgets.inputs import FieldInput, PathSuggester


class FilePathScreen(FormDialog[Path | None]):
    """A path that the user types. None: cancelled."""

    DEFAULT_CSS = "FilePathScreen FieldInput { margin: 1 0; }"

    def __init__(self, title: str, path: str = "", *, must_exist: bool) -> None:
        super().__init__(title, "⏎ go on   → complete   esc cancel")
        self._must_exist = must_exist
        self._input = FieldInput(path, placeholder="the path of a file", suggester=PathSuggester())

    def compose_body(self) -> ComposeResult:
        yield self._input
        yield Static(Text(""), classes="dialog-note")

    def on_mount(self) -> None:
        self._input.focus()

    def on_input_changed(self) -> None:
        self.show_note(".dialog-note", "")

    def on_input_submitted(self) -> None:
        text = self._input.value.strip()
        wrong = why_no_path(text) if text else "Type the path of a file."
        path = Path() if wrong else Path(text).expanduser()
        wrong = wrong or why_not(path, self._must_exist)
        if wrong:
            self.show_note(".dialog-note", wrong, wrong=True)
        else:
            self.dismiss(path)


class ImportReportScreen(ReportDialog):
    """The entries of a file that were not imported, each with its reason."""

    DEFAULT_CSS = "ImportReportScreen .dialog-body { margin-top: 1; }"

    def __init__(self, result: ImportResult) -> None:
        count = len(result.imported)
        imported = "1 template imported" if count == 1 else f"{count or 'No'} templates imported"
        super().__init__(f"{imported}, {len(result.refused)} refused")
        self.result = result

    def compose_body(self) -> ComposeResult:
        for entry in self.result.refused:
            name, reason = f"{entry.index + 1}. {one_line(entry.name)}", f"   {one_line(entry.reason)}"
            yield Static(Text.assemble((name, "bold"), "\n", reason))

    def on_mount(self) -> None:
        self.read_body()

    def text_to_copy(self) -> str:
        refused = self.result.refused
        return "\n".join(f"{entry.index + 1}. {one_line(entry.name)}: {one_line(entry.reason)}" for entry in refused)


def why_not(path: Path, must_exist: bool) -> str:
    """Why a path cannot be read from (or written to); empty where it can."""
    closed = why_unreachable(path)
    if closed is not None:
        return closed
    if path.is_dir():
        return f"{path} is a directory."
    if must_exist and not path.exists():
        return f"There is no file {path}."
    if not must_exist and not path.absolute().parent.is_dir():
        return f"There is no directory {path.absolute().parent}."
    return ""
