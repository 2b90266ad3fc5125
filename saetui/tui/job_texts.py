"""A job's files as lines of text: its log as it grows, events, checkpoints, and settings by section."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saetui.display.dates import listed
from saetui.display.figures import ABSENT, count, number, size
from saetui.rundir.checkpoints import CheckpointInfo
from saetui.rundir.events import LoggedEvent
from saetui.rundir.log import LogReader
from saetui.spec.hyperparameters import Section, for_architecture
from saetui.tui.widgets.text_pane import Span

TAIL_BYTES = 512 * 1024
"""How much of a log that is already there is read; the whole is in the job's directory."""

CHECKPOINT_HEADING: list[Span] = [
    (f"{'step':>12}  {'saved':<20} {'size':>9}  {'held FVU':>8} {'held L0':>8}  directory", "muted")
]

_NAME_WIDTH = 26
_VALUE_WIDTH = 16
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_EVENT_COLOURS = {
    "warning": "warning",
    "degraded": "warning",
    "recovered": "success",
    "ended": "*strong",
    "started": "*strong",
    "paused": "state-paused",
    "resumed": "state-running",
    "checkpoint": "success",
}


class LogTail:
    """Reads the new lines of a log at each call; a line without its end waits."""

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path, TAIL_BYTES)
        self._reported = 0
        self._trouble: str | None = None

    def new_left_out(self) -> int:
        """Bytes that were left out since the last call."""
        before, self._reported = self._reported, self._reader.left_out
        return self._reported - before

    def poll(self) -> list[str]:
        """The new lines, without escape sequences; of a progress line written over itself only the last state.

        Of a log that grew by more than 512 KiB since the last call only the end is read. A log that cannot be read gives
        one line with the reason, once.
        """
        try:
            lines = self._reader.read_all()
            self._trouble = None
        except OSError as error:
            trouble = f"{self._reader.path} cannot be read: {error.strerror}"
            lines = [trouble] if trouble != self._trouble else []
            self._trouble = trouble
        return [_ESCAPES.sub("", text).rstrip("\r").rpartition("\r")[2] for text in lines]


def event_line(event: LoggedEvent) -> list[Span]:
    """One event: time, kind, message, and the step unless the message names it."""
    step = f"step {count(event.step)}" if event.step is not None else ""
    return [
        (f"{listed(event.time)}  ", "muted"),
        (f"{event.kind:<11} ", "muted"),
        (event.message, _EVENT_COLOURS.get(event.kind, "foreground")),
        (f"  {step}" if step and step not in event.message else "", "muted"),
    ]


def checkpoint_lines(checkpoints: Sequence[CheckpointInfo], best: CheckpointInfo | None = None) -> list[list[Span]]:
    """Checkpoints under `CHECKPOINT_HEADING`, the newest first; `best` is marked."""
    lines: list[list[Span]] = []
    for found in sorted(checkpoints, key=lambda checkpoint: -checkpoint.step):
        saved = listed(found.created_at)
        figures = f"{size(found.size_bytes):>9}  {number(found.fvu):>8} {number(found.l0):>8}"
        lines.append(
            [
                (f"{count(found.step):>12}  ", "*strong"),
                (f"{saved:<20} {figures}  ", "foreground"),
                (found.path.name, "muted"),
                ("  ◆ best held-out FVU" if found == best else "", "success"),
            ]
        )
    return lines


def settings_lines(spec: Mapping[str, Any]) -> list[list[Span]]:
    """A spec (raw JSON) by section, each value with its unit and whether it is the default."""
    lines: list[list[Span]] = [[("Job", "*primary")]]
    for name, value in spec.items():
        if name == "hyperparameters":
            continue
        if isinstance(value, Mapping):
            lines += [_setting(f"{name}.{key}", _plain_value(entry)) for key, entry in value.items()]
        else:
            lines.append(_setting(name, _plain_value(value)))
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
            text = row.show(value) or (f"({row.none_means})" if row.none_means else "")
            changed = "changed" if value != row.default_for(architecture) else ""
            lines.append(_setting(row.name, text, "  ".join(part for part in (row.unit, changed) if part)))
    return lines


def _setting(name: str, value: str, note: str = "") -> list[Span]:
    return [
        (f"  {name.ljust(_NAME_WIDTH)}", "muted"),
        (value.ljust(_VALUE_WIDTH) if note else value, "strong"),
        (f"  {note}" if note else "", "muted"),
    ]


def _plain_value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(entry) for entry in value)
    return ABSENT if value is None else str(value)
