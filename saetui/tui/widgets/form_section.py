"""A section of a form: a heading, rows, and a line that folds the advanced ones away."""

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
from saetui.tui.widgets.line_canvas import LineCanvas, line


class SectionHeading(LineCanvas):
    """The section's name on a thin line."""

    DEFAULT_CSS = "SectionHeading { height: 2; padding-top: 1; width: 1fr; }"

    def __init__(self, title: str, indent: int = 2) -> None:
        super().__init__()
        self._heading = title
        self._indent = indent

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        rule = "─" * max(0, width - len(self._heading) - self._indent - 2)
        return [
            line(
                (" " * self._indent, self.colour("line")),
                (self._heading, self.colour("primary")),
                (f" {rule}", self.colour("line")),
            )
        ]


class FoldRow(LineCanvas, can_focus=True):
    """Says what is folded away; `enter` or `space` opens and closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.FOLD)]
    DEFAULT_CSS = "FoldRow { height: 1; width: 1fr; background: $background; }"

    class Toggled(Message):
        """To be opened or closed."""

    def __init__(self) -> None:
        super().__init__()
        self._labels: tuple[str, ...] = ()
        self._set = 0
        self._open = False

    def show(self, labels: Sequence[str], set_count: int, is_open: bool) -> None:
        """Bring it up to date: what it hides, how many of these are set, and whether they are shown."""
        self._labels, self._set, self._open = tuple(labels), set_count, is_open
        if self.display != bool(labels):
            self.display = bool(labels)
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        mark = ("▌ ", self.colour("primary")) if self.has_focus else ("  ", self.colour("muted"))
        style = self.colour("strong", bold=True) if self.has_focus else self.colour("muted")
        if self._open:
            return [line(mark, ("▾ fewer", style))]
        names = f"▸ {len(self._labels)} more"
        count = f", {self._set} set" if self._set else ""
        what = shorten(f"  {', '.join(self._labels)}", width - len(names) - len(count) - 4)
        return [line(mark, (names, style), (count, self.colour("warning")), (what, self.colour("faint")))]

    def action_fold(self) -> None:
        self.post_message(self.Toggled())

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.repaint()


class FormSection(Vertical):
    """Rows under a heading.

    Attributes:
        heading: its name.
        is_open: advanced rows are shown.
    """

    DEFAULT_CSS = "FormSection { height: auto; width: 1fr; }"

    class Folded(Message):
        """Advanced rows are to be shown, or no longer."""

        def __init__(self, section: FormSection) -> None:
            super().__init__()
            self.section = section

    def __init__(self, title: str, *fixed: Widget) -> None:
        super().__init__()
        self.heading = SectionHeading(title)
        self._fixed = fixed
        self._fold = FoldRow()
        self._rows: dict[str, FieldRow] = {}
        self.is_open = False

    @property
    def rows(self) -> tuple[FieldRow, ...]:
        """The rows that are shown, in order."""
        return tuple(self._rows.values())

    def row(self, field: str) -> FieldRow | None:
        """The row of a field, where it is shown."""
        return self._rows.get(field)

    def compose(self) -> ComposeResult:
        yield self.heading
        yield from self._fixed
        yield self._fold

    def set_fields(self, fields: Sequence[FormField], make: Callable[[FormField], FieldRow], set_count: int) -> None:
        """Show rows for these fields, and only these; those that stay are kept as they are.

        Args:
            fields: all of the section's, advanced ones too.
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
        """Where the section begins, for the keyboard."""
        return next((widget for widget in self.query("*") if widget.focusable), None)

    def on_fold_row_toggled(self, event: FoldRow.Toggled) -> None:
        event.stop()
        self.is_open = not self.is_open
        self.post_message(self.Folded(self))
