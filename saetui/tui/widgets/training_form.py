"""The form of a new training: sections of rows over one draft. It edits the draft and posts messages; it reads no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partialmethod
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widget import Widget

from saetui.catalog.datasets import DatasetInfo
from saetui.catalog.models import ModelInfo
from saetui.display.figures import count, size
from saetui.spec.architectures import ARCHITECTURES, default_hook_points
from saetui.spec.hyperparameters import Section, for_architecture
from saetui.spec.problems import Problem, Severity
from saetui.tui import fields
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.draft import Draft
from saetui.tui.draft_check import UNCHECKED, DraftCheck
from saetui.tui.fields import FormField
from saetui.tui.run_figures import derived_values
from saetui.tui.widgets.field_help import NOTHING, HelpText
from saetui.tui.widgets.field_row import FieldRow, TextRow, make_row
from saetui.tui.widgets.form_section import FormSection
from saetui.tui.widgets.inputs import PathSuggester
from saetui.tui.widgets.layer_grid import HookPointGrid, LayerGrid
from saetui.tui.widgets.start_row import StartRow
from saetui.tui.widgets.toggle_grid import ToggleGrid

PICKED = ("model", "dataset.source")
"""Fields whose value can be chosen from a list."""

_TEXT_SECTION = ("model", "dataset.source", "dataset.context_length", "dataset.text_field", "dataset.split", "revision")
_RUN_SECTION = ("name", "device", "dtype", "seed", "start_from")


class TrainingForm(VerticalScroll, can_focus=False):
    """All settings of a training.

    Attributes:
        draft: the content of the form.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.FORM)]
    DEFAULT_CSS = "TrainingForm { height: 1fr; width: 1fr; scrollbar-size-vertical: 1; }"

    class Edited(Message):
        """A field of the draft has changed."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self.field = field

    class PickWanted(Message):
        """The user asks for the list of a field."""

        def __init__(self, field: str) -> None:
            super().__init__()
            self.field = field

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self._known_names: dict[str, tuple[str, ...]] = {}
        self._hook_points = HookPointGrid()
        self._layers = LayerGrid()
        self.start = StartRow()
        self._text = FormSection("Model and text")
        self._sites = FormSection("Where", self._hook_points, self._layers)
        self._by_section = {section: FormSection(section.value) for section in Section}
        self._run = FormSection("Run")
        self._problems: dict[str, Problem] = {}
        self._check = UNCHECKED

    @property
    def sections(self) -> tuple[FormSection, ...]:
        """From top to bottom."""
        return (self._text, self._sites, *self._by_section.values(), self._run)

    def compose(self) -> ComposeResult:
        yield from self.sections
        yield self.start

    def on_mount(self) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        """Show the rows of the draft's architecture, without the hidden ones."""
        with self.app.batch_update():
            for section, rows in self._fields().items():
                set_count = sum(info.advanced and bool(self.draft.text(info.field)) for info in rows)
                section.set_fields(rows, self._make_row, set_count)
        self.show(tuple(self._problems.values()), self._check)

    def show(self, problems: Sequence[Problem], check: DraftCheck) -> None:
        """Bring every row up to date with the draft, its problems, and the model and dataset that were found."""
        self._problems, self._check = first_of_each(problems), check
        derived = derived_values(self.draft, check.model, check.dataset)
        notes = self._notes(check.model, check.dataset)
        for section in self.sections:
            for row in section.rows:
                field = row.info.field
                row.show(
                    text=self.draft.text(field),
                    derived=derived.get(field, ""),
                    note=notes.get(field, ""),
                    problem=self._problems.get(field),
                )
        self._hook_points.show(self.draft.hook_points, self._problems.get("hook_points"))
        middle = () if check.model is None else (check.model.middle_layer,)
        layers = self.draft.layers if self.draft.layers is not None else middle
        self._layers.show(None if check.model is None else check.model.num_layers, layers, self._problems.get("layers"))
        self.call_after_refresh(self._keep_focus_in_view)

    def focus_field(self, field: str) -> bool:
        """Go to a field, in a hidden row too. Returns False where the form does not have the field."""
        if field in ("layers", "hook_points"):
            (self._layers if field == "layers" else self._hook_points).focus()
            return True
        for section, rows in self._fields().items():
            if field not in [info.field for info in rows]:
                continue
            if section.row(field) is None:
                section.is_open = True
                self.rebuild()
            row = section.row(field)
            if row is not None:
                self.call_after_refresh(row.focus_field)
                return True
        return False

    def order_of(self, field: str) -> int:
        """The place of a field, from the top; unknown ones come last."""
        order = [*_TEXT_SECTION, "hook_points", "layers", fields.ARCHITECTURE_FIELD.field]
        order += [info.field for rows in self._fields().values() for info in rows if info.field not in order]
        return order.index(field) if field in order else len(order)

    def unfold_all(self) -> None:
        """Show all advanced rows, or hide them when all are shown."""
        folding = (section for section, rows in self._fields().items() if any(info.advanced for info in rows))
        wanted = not all(section.is_open for section in folding)
        for section in self.sections:
            section.is_open = wanted
        self.rebuild()

    def focused_field(self) -> str | None:
        """The field that has the focus."""
        row = self.focused_row()
        if row is not None:
            return row.info.field
        return "layers" if self._layers.has_focus else "hook_points" if self._hook_points.has_focus else None

    def focused_row(self) -> FieldRow | None:
        """The row that has the focus."""
        focused = self.screen.focused
        if focused is None:
            return None
        return next((node for node in focused.ancestors_with_self if isinstance(node, FieldRow)), None)

    def focused_help(self) -> HelpText:
        """The help of the field that has the focus."""
        row = self.focused_row()
        if row is not None:
            return HelpText.of(row.info)
        if self._layers.has_focus:
            return HelpText(
                "layers",
                fields.LAYERS_HELP,
                (
                    (
                        "keys",
                        "space select, a all, x clear, i invert, e every other, r type a range, arrows or hjkl move",
                    ),
                ),
            )
        if self._hook_points.has_focus:
            return HelpText("hook_points", fields.HOOK_POINTS_HELP, (("keys", "space select, a all, x clear"),))
        return NOTHING

    def reset_field(self) -> None:
        """Reset the focused field to its default."""
        field = self.focused_field()
        if field == "layers":
            self.draft.layers = None
        elif field == "hook_points":
            self.draft.hook_points = default_hook_points(self.draft.architecture)
        elif field is not None:
            self.draft.set_default(field)
        self._edited(field or "")

    def set_known_names(self, field: str, names: Sequence[str]) -> None:
        """The names that complete the typing in a field."""
        self._known_names[field] = tuple(names)

    def on_field_row_changed(self, event: FieldRow.Changed) -> None:
        event.stop()
        self.draft.set_text(event.field, event.text)
        self._edited(event.field)

    def on_toggle_grid_changed(self, event: ToggleGrid.Changed) -> None:
        event.stop()
        if event.control is self._layers:
            self.draft.layers = event.chosen
            self._edited("layers")
        else:
            self.draft.hook_points = event.chosen
            self._edited("hook_points")

    def on_descendant_focus(self) -> None:
        self.call_after_refresh(self._keep_focus_in_view)

    def on_resize(self) -> None:
        self.call_after_refresh(self._keep_focus_in_view)

    def _keep_focus_in_view(self) -> None:
        """Scroll so far that the focused field is in view, with its notes, and a section's heading with its first field."""
        focused = self.screen.focused
        if focused is None or self not in focused.ancestors:
            return
        row = self.focused_row() or focused
        wanted = row.region
        for section in self.sections:
            if focused is section.first_focusable():
                wanted = wanted.union(section.heading.region)
        for region in (wanted, row.region, focused.region):
            if region.height <= self.size.height:
                self.scroll_to_region(region.translate(self.scroll_offset - self.content_region.offset), animate=False)
                break

    def on_form_section_folded(self, event: FormSection.Folded) -> None:
        event.stop()
        self.rebuild()

    def on_text_row_submitted(self, event: TextRow.Submitted) -> None:
        event.stop()
        if event.row.info.field in PICKED:
            self.post_message(self.PickWanted(event.row.info.field))
        else:
            self.screen.focus_next()

    def action_next_field(self) -> None:
        self.screen.focus_next()

    def action_previous_field(self) -> None:
        self.screen.focus_previous()

    def action_pick(self) -> None:
        field = self.focused_field()
        self.post_message(self.PickWanted(field if field in PICKED else PICKED[0]))

    def _go_to_section(self, by: int) -> None:
        sections: list[Widget] = [*self.sections, self.start]
        focused = self.screen.focused
        path = [] if focused is None else focused.ancestors_with_self
        here = next((index for index, part in enumerate(sections) if part in path), 0)
        target = sections[min(max(here + by, 0), len(sections) - 1)]
        widget = target.first_focusable() if isinstance(target, FormSection) else target
        if widget is not None:
            widget.focus()

    action_next_section = partialmethod(_go_to_section, 1)
    action_previous_section = partialmethod(_go_to_section, -1)

    def _edited(self, field: str) -> None:
        if field == fields.ARCHITECTURE_FIELD.field:
            self.rebuild()
        self.post_message(self.Edited(field))

    def _fields(self) -> dict[FormSection, list[FormField]]:
        by_name = {info.field: info for info in fields.MODEL_FIELDS}
        known = (
            self.draft.architecture if self.draft.architecture in ARCHITECTURES else fields.ARCHITECTURE_FIELD.default
        )
        rows = for_architecture(known)
        found = {self._text: [by_name[name] for name in _TEXT_SECTION], self._sites: []}
        for section, widget in self._by_section.items():
            found[widget] = [fields.hyperparameter_field(row, known) for row in rows if row.section is section]
        found[self._by_section[Section.BASIC]].insert(0, fields.ARCHITECTURE_FIELD)
        found[self._run] = [by_name[name] for name in _RUN_SECTION]
        return found

    def _make_row(self, info: FormField) -> FieldRow:
        suggester = PathSuggester(self._known_names.get(info.field, ())) if info.field in PICKED else None
        return make_row(info, self.draft.text(info.field), suggester)

    def _notes(self, model: ModelInfo | None, dataset: DatasetInfo | None) -> dict[str, str]:
        notes: dict[str, str] = {}
        if model is not None:
            notes["model"] = f"{model.num_layers} layers × {model.hidden_size} · {model.family}"
            if model.context_limit is not None:
                notes["dataset.context_length"] = f"at most {model.context_limit}"
        if dataset is not None:
            files = "1 file" if dataset.files == 1 else f"{count(dataset.files)} files"
            notes["dataset.source"] = f"{files} · {size(dataset.size_bytes)}"
        return notes


def first_of_each(problems: Sequence[Problem]) -> dict[str, Problem]:
    """One problem a field: an error before a warning."""
    found: dict[str, Problem] = {}
    for problem in sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR):
        found.setdefault("dataset.source" if problem.field == "dataset" else problem.field, problem)
    return found
