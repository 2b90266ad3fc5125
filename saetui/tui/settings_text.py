"""What a job was asked to do, as lines to read: by section, each with its unit and whether it is the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saetui.spec.hyperparameters import Section, for_architecture
from saetui.tui.widgets.text_pane import Span

_NAME_WIDTH = 26
_VALUE_WIDTH = 16


def settings_lines(spec: Mapping[str, Any]) -> list[list[Span]]:
    """A spec (raw JSON) as coloured lines."""
    lines: list[list[Span]] = [[("Job", "*primary")]]
    for name, value in spec.items():
        if name == "hyperparameters":
            continue
        if isinstance(value, Mapping):
            lines += [_line(f"{name}.{key}", _shown(entry)) for key, entry in value.items()]
        else:
            lines.append(_line(name, _shown(value)))
    return lines + _hyperparameter_lines(str(spec.get("architecture", "")), spec.get("hyperparameters") or {})


def _hyperparameter_lines(architecture: str, values: Mapping[str, Any]) -> list[list[Span]]:
    lines: list[list[Span]] = []
    rows = for_architecture(architecture)
    for section in Section:
        present = [row for row in rows if row.section is section and row.name in values]
        if not present:
            continue
        lines += [[], [(section.value, "*primary")]]
        for row in present:
            value = values[row.name]
            shown = row.show(value) or (f"({row.none_means})" if row.none_means else "")
            note = row.unit
            if value != row.default_for(architecture):
                note = f"{note}  changed" if note else "changed"
            lines.append(_line(row.name, shown, note))
    return lines


def _line(name: str, value: str, note: str = "") -> list[Span]:
    return [
        (f"  {name.ljust(_NAME_WIDTH)}", "muted"),
        (value.ljust(_VALUE_WIDTH) if note else value, "strong"),
        (f"  {note}" if note else "", "muted"),
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(entry) for entry in value)
    return str(value)
