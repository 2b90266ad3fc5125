"""Choosing which checkpoints of a job are kept, with what would go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from saetui.display.figures import count, size
from saetui.errors import InvalidInput
from saetui.rundir.checkpoints import CheckpointInfo
from saetui.rundir.retention import Retention, superfluous
from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.fields import hyperparameter_field
from saetui.tui.screens.dialog import FormDialog
from saetui.tui.widgets.field_row import FieldRow, TextRow, make_row

_RULES = ("keep_last", "keep_every", "keep_first", "keep_best")
_NAMED = 6
"""So many steps are named of the checkpoints that would go."""


class KeepScreen(FormDialog[Retention | None]):
    """The rules of a job, and what they would delete. None: cancelled."""

    BOX_CLASSES = "dialog wide"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.FILLING)]
    DEFAULT_CSS = """
    KeepScreen FieldRow { background: $panel; }
    KeepScreen .dialog-title { margin-bottom: 1; }
    KeepScreen .dialog-note { margin-top: 1; }
    """

    def __init__(self, name: str, architecture: str, checkpoints: Sequence[CheckpointInfo], rules: Retention) -> None:
        """
        Args:
            name, architecture: of the job.
            checkpoints: those that it has, oldest first.
            rules: those in force.
        """
        super().__init__(f"Checkpoints of {name} to keep", "⏎ apply   tab next   space on, off   esc cancel")
        self._checkpoints = checkpoints
        self._rules = rules
        values: dict[str, Any] = msgspec.structs.asdict(rules)
        self._rows = {
            rule: make_row(
                hyperparameter_field(HYPERPARAMETERS[rule], architecture), HYPERPARAMETERS[rule].show(values[rule])
            )
            for rule in _RULES
        }

    def compose_body(self) -> ComposeResult:
        yield from self._rows.values()
        yield Static(Text(""), classes="dialog-note")

    def on_mount(self) -> None:
        self._rows["keep_last"].focus_field()
        self._say_what()

    def on_field_row_changed(self, event: FieldRow.Changed) -> None:
        event.stop()
        self._say_what()

    def on_text_row_submitted(self, event: TextRow.Submitted) -> None:
        event.stop()
        self.action_do_it()

    def action_do_it(self) -> None:
        changed = self._changed()
        if isinstance(changed, Retention):
            self.dismiss(changed)

    def _changed(self) -> Retention | str:
        """The rules as they stand in the dialog, or what is wrong with them."""
        values: dict[str, Any] = {}
        for rule, row in self._rows.items():
            table = HYPERPARAMETERS[rule]
            try:
                value = table.parse(row.text) if row.text else table.default
            except InvalidInput as error:
                return error.message
            if (wrong := table.check(value)) is not None:
                return f"{rule}: {row.text} {wrong}."
            values[rule] = value
        return msgspec.structs.replace(self._rules, **values)

    def _say_what(self) -> None:
        changed = self._changed()
        if isinstance(changed, str):
            self.show_note(".dialog-note", changed, wrong=True)
            return
        gone = superfluous(self._checkpoints, changed)
        if not gone:
            all_stay = f"All {len(self._checkpoints)} stay: the newest always does."
            self.show_note(".dialog-note", all_stay if len(self._checkpoints) > 1 else "The only one always stays.")
            return
        steps = ", ".join(count(info.step) for info in gone[:_NAMED]) + (", …" if len(gone) > _NAMED else "")
        freed = size(sum(info.size_bytes for info in gone))
        self.show_note(
            ".dialog-note",
            f"{len(gone)} of {len(self._checkpoints)} {'goes' if len(gone) == 1 else 'go'}, {freed}: step {steps}",
            wrong=False,
        )
