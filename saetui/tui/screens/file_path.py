"""BaseRequest for the path of a file, with completion; and what came of reading one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from saetui.display.text import one_line
from saetui.formats.paths import why_no_path
from saetui.jobs.template_files import ImportResult, RefusedEntry
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft_check import PathSuggester
from saetui.tui.widgets.field_row import FieldInput


class FilePathScreen(ModalScreen[Path | None]):
    """A path that the user types. None: cancelled."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.WORDS)]
    DEFAULT_CSS = """
    FilePathScreen { align: center middle; }
    FilePathScreen > .dialog { width: 76; max-width: 94%; height: auto; padding: 1 2; background: $surface; border: round $line; }
    FilePathScreen FieldInput, FilePathScreen FieldInput:focus { width: 1fr; margin: 1 0; }
    FilePathScreen .said { color: $error; height: auto; }
    """

    def __init__(self, title: str, path: str = "", *, must_exist: bool) -> None:
        super().__init__()
        self._heading = title
        self._must_exist = must_exist
        self._input = FieldInput(path, numeric=False, suggester=PathSuggester())
        self._input.placeholder = "the path of a file"

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(one_line(self._heading)), classes="dialog-title")
            yield self._input
            yield Static(Text(""), classes="said")
            yield Static(Text("⏎ go on   → complete   esc cancel"), classes="dialog-keys")

    def on_mount(self) -> None:
        self._input.focus()

    def on_input_changed(self) -> None:
        self.query_one(".said", Static).update(Text(""))

    def on_input_submitted(self) -> None:
        text = self._input.value.strip()
        path = None
        wrong = why_no_path(text) if text else "Type the path of a file."
        if wrong is None:
            path = Path(text).expanduser()
            wrong = why_not(path, self._must_exist)
        if wrong:
            self.query_one(".said", Static).update(Text(f"✗ {one_line(wrong)}"))
        else:
            self.dismiss(path)

    def action_next_word(self) -> None:
        self.focus_next()

    def action_word_before(self) -> None:
        self.focus_previous()

    def action_cancel(self) -> None:
        self.dismiss(None)


class ImportReportScreen(ModalScreen[None]):
    """What did not come in from a file, each entry with its reason."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.REPORT)]
    DEFAULT_CSS = """
    ImportReportScreen { align: center middle; }
    ImportReportScreen > .dialog { width: 90; max-width: 94%; height: auto; max-height: 80%; padding: 1 2; }
    ImportReportScreen VerticalScroll { height: auto; max-height: 16; margin-top: 1; }
    """

    def __init__(self, result: ImportResult) -> None:
        super().__init__()
        self.result = result

    def compose(self) -> ComposeResult:
        came = len(self.result.imported)
        good = f"{came} template{'' if came == 1 else 's'} came in" if came else "No template came in"
        with Vertical(classes="dialog"):
            yield Static(Text(f"{good}, {len(self.result.refused)} refused"), classes="dialog-title")
            with VerticalScroll():
                for entry in self.result.refused:
                    yield Static(_refusal(entry))
            yield Static(Text("y copy   esc close"), classes="dialog-keys")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard("\n".join(refusal_lines(self.result.refused)))
        self.notify("Copied.")

    def action_close(self) -> None:
        self.dismiss(None)


def refusal_lines(refused: Sequence[RefusedEntry]) -> list[str]:
    """One line for each entry that was refused."""
    return [f"{entry.index + 1}. {one_line(entry.name)}: {one_line(entry.reason)}" for entry in refused]


def why_not(path: Path, must_exist: bool) -> str:
    """Why a path cannot be read from (or written to); empty where it can."""
    if path.is_dir():
        return f"{path} is a directory."
    if must_exist and not path.exists():
        return f"There is no file {path}."
    if not must_exist and not path.absolute().parent.is_dir():
        return f"There is no directory {path.absolute().parent}."
    return ""


def _refusal(entry: RefusedEntry) -> Text:
    return Text.assemble((f"{entry.index + 1}. {one_line(entry.name)}", "bold"), "\n", f"   {one_line(entry.reason)}")
