"""A template in full, by the form's own sections; a model or dataset that is not on this machine is flagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.strip import Strip

from saetui.display.text import one_line, shorten
from saetui.jobs.templates import Template
from saetui.spec.hyperparameters import HYPERPARAMETERS, Hyperparameter, Section, Value
from saetui.tui.fields import label_of
from saetui.tui.run_figures import grouped
from saetui.tui.widgets.line_canvas import LineCanvas, line

_LABEL_WIDTH = 24


class TemplatePreview(LineCanvas):
    """One template in full."""

    DEFAULT_CSS = "TemplatePreview { height: 1fr; width: 1fr; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._template: Template | None = None

    def show(self, template: Template | None) -> None:
        self._template = template
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        template = self._template
        if template is None:
            return []
        muted, rule = self.colour("muted"), self.colour("line")
        lines = [line((shorten(one_line(template.name), width), self.colour("strong", bold=True)))]
        lines.append(line((shorten(_history(template), width), muted)))
        lines += self.paragraph(template.description, width, "foreground")
        if template.missing:
            names = " and ".join(template.missing)
            be = "are" if len(template.missing) > 1 else "is"
            warning = f"▲ Its {names} {be} not on this machine: choose another in the form."
            lines += self.paragraph(warning, width, "warning", indent="  ")
        for title, rows in preview_sections(template.spec):
            lines += [] if height < 24 else [line()]
            lines.append(line((title, self.colour("primary")), (" " + "─" * max(0, width - len(title) - 1), rule)))
            for name, value in rows:
                style = self.colour("warning" if name in template.missing else "strong")
                text = shorten(one_line(value), width - _LABEL_WIDTH)
                lines.append(line((name.ljust(_LABEL_WIDTH), muted), (text, style)))
        return lines


def preview_sections(spec: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The sections of a partial spec, with names and values; without the empty ones."""
    sections = [("Model and text", _text_rows(spec)), ("Where", _site_rows(spec))]
    values: Mapping[str, Value] = spec.get("hyperparameters") or {}
    for section in Section:
        rows = [
            (label_of(row.name), f"{_value_text(row, values[row.name])} {row.unit}".strip())
            for row in HYPERPARAMETERS.values()
            if row.section is section and row.name in values
        ]
        if section is Section.BASIC and spec.get("architecture"):
            rows.insert(0, ("architecture", str(spec["architecture"])))
        sections.append((section.value, rows))
    rest = [(name, str(spec[name])) for name in ("name", "device", "dtype", "seed") if spec.get(name) is not None]
    sections.append(("Run", rest))
    return [(title, rows) for title, rows in sections if rows]


def _value_text(row: Hyperparameter, value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return grouped(value)
    return row.show(value) or row.none_means


def _text_rows(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [("model", str(spec["model"]))] if spec.get("model") else []
    dataset = spec.get("dataset")
    if isinstance(dataset, Mapping):
        names = {"source": "dataset", "context_length": "context length", "split": "split", "text_field": "text field"}
        rows += [(label, str(dataset[name])) for name, label in names.items() if dataset.get(name) is not None]
    return rows


def _site_rows(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    lists = (("layers", "layers"), ("hook_points", "hook points"))
    return [(label, ", ".join(map(str, spec[name]))) for name, label in lists if spec.get(name)]


def _history(template: Template) -> str:
    parts = ["built in, read-only"] if template.builtin else [f"changed {template.updated_at[:10]}"]
    times = "once" if template.use_count == 1 else f"{template.use_count} times"
    parts.append(f"used {times}" if template.use_count else "never used")
    if template.last_used_at is not None:
        parts.append(f"last {template.last_used_at[:10]}")
    return " · ".join(parts)
