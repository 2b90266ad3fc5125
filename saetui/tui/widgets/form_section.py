"""A section of a form: a heading, rows, and a line that hides or shows the advanced ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from saetui.display.text import shorten
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.fields import FormField
from saetui.tui.widgets.field_row import FieldRow
from saetui.tui.widgets.headings import SectionHeading
from saetui.tui.widgets.line_canvas import LineCanvas, line


class FoldRow(LineCanvas, can_focus=True):
    """Names the hidden rows; `enter` or `space` shows and hides them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.FOLD)]
    DEFAULT_CSS = "FoldRow { height: 1; width: 1fr; background: $background; }"

    class Toggled(Message):
        """The rows are to be shown or hidden."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: tuple[str, ...] = ()
        self._set = 0
        self._open = False

    def show(self, labels: Sequence[str], set_count: int, is_open: bool) -> None:
        """`set_count`: how many of the advanced rows are not at their default."""
        self._labels, self._set, self._open = tuple(labels), set_count, is_open
        if self.display != bool(labels):
            self.display = bool(labels)
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        mark = self.cursor_mark(self.has_focus)
        style = self.colour("strong", bold=True) if self.has_focus else self.colour("muted")
        if self._open:
            return [line(mark, ("▾ fewer", style))]
        names = f"▸ {len(self._labels)} more"
        count = f", {self._set} set" if self._set else ""
        labels = shorten(f"  {', '.join(self._labels)}", width - len(names) - len(count) - 4)
        return [line(mark, (names, style), (count, self.colour("warning")), (labels, self.colour("muted")))]

    def action_fold(self) -> None:
        self.post_message(self.Toggled())


class FormSection(Vertical):
    """Rows under a heading.

    Attributes:
        is_open: advanced rows are shown.
    """

    DEFAULT_CSS = "FormSection { height: auto; width: 1fr; }"

    class Folded(Message):
        """Advanced rows are to be shown or hidden."""

    def __init__(self, title: str, *fixed: Widget) -> None:
        super().__init__()
        self.heading = SectionHeading(title)
        self._fixed = fixed
        self._fold = FoldRow()
        self._rows: dict[str, FieldRow] = {}
        self.is_open = False

    @property
    def rows(self) -> tuple[FieldRow, ...]:
        """The shown rows, in order."""
        return tuple(self._rows.values())

    def row(self, field: str) -> FieldRow | None:
        """The row of a field, if it is shown."""
        return self._rows.get(field)

    def compose(self) -> ComposeResult:
        yield self.heading
        yield from self._fixed
        yield self._fold

    def set_fields(self, fields: Sequence[FormField], make: Callable[[FormField], FieldRow], set_count: int) -> None:
        """Show rows for these fields alone; rows that stay are kept as they are.

        Args:
            fields: all fields of the section, advanced ones too.
            make: makes the row of a field.
            set_count: how many advanced ones are not at their default.
        """
        shown = [info for info in fields if self.is_open or not info.advanced]
        names = [info.field for info in shown]
        for name in [name for name in self._rows if name not in names]:
            self._rows.pop(name).remove()
        previous: Widget = self._fixed[-1] if self._fixed else self.heading
        rows: dict[str, FieldRow] = {}
        for info in shown:
            row = self._rows.get(info.field)
            if row is None:
                row = make(info)
                self.mount(row, after=previous)
            row.info = info
            rows[info.field] = row
            previous = row
        self._rows = rows
        self._fold.show([info.label for info in fields if info.advanced], set_count, self.is_open)

    def first_focusable(self) -> Widget | None:
        """The first widget that takes the focus."""
        return next((widget for widget in self.query("*") if widget.focusable), None)

    def on_fold_row_toggled(self, event: FoldRow.Toggled) -> None:
        event.stop()
        self.is_open = not self.is_open
        self.post_message(self.Folded())
