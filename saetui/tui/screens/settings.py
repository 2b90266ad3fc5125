"""Settings: what the user prefers, one line each, changed with the arrow keys and kept at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from saetui.display.figures import duration
from saetui.display.text import fit
from saetui.jobs.preferences import PREFERENCES, Preference, Preferences, PreferenceValue
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.widgets.line_canvas import LineCanvas, filled, line
from saetui.tui.widgets.line_list import LineList

STEPS: Mapping[str, Sequence[float]] = {
    "auto_resume_tries": (1, 2, 3, 5, 10, 100),
    "auto_resume_delay": (0, 10, 30, 60, 300, 900, 3600),
    "refresh_seconds": (0.25, 0.5, 1, 2, 5, 10),
}
"""The values that the keys go through; `saetui config set` takes any."""

_LABEL = 20
_UNITS = {"refresh_seconds": "s"}


class SettingsScreen(SaetuiScreen[None]):
    """The list, and below it what the highlighted setting does."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.SETTINGS)]
    DEFAULT_CSS = """
    SettingsScreen SettingsList { height: 8; margin: 1 1 0 1; }
    SettingsScreen SettingHelp { height: 1fr; margin: 1 1 0 1; }
    """

    def compose_body(self) -> ComposeResult:
        yield SettingsList()
        yield SettingHelp()

    def on_mount(self) -> None:
        self.query_one(SettingsList).focus()
        self.show_model()

    def show_model(self) -> None:
        preferences = self.model.preferences
        self.query_one(SettingsList).show(preferences or Preferences(), known=preferences is not None)
        self._show_help()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self._show_help()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing can be changed before the supervisor has told what there is."""
        return self.model.preferences is not None if action in ("next_value", "previous_value", "reset_value") else True

    def action_next_value(self) -> None:
        self._change(1)

    def action_previous_value(self) -> None:
        self._change(-1)

    def action_reset_value(self) -> None:
        row = self.query_one(SettingsList).highlighted
        self.saetui.prefer(row.name, row.default)

    def _change(self, direction: int) -> None:
        table = self.query_one(SettingsList)
        row = table.highlighted
        self.saetui.prefer(row.name, neighbour(row, table.value(row), direction))

    def _show_help(self) -> None:
        self.query_one(SettingHelp).show(self.query_one(SettingsList).highlighted)


class SettingsList(LineList):
    """One line a setting: what it is called and what it is."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = tuple(PREFERENCES.values())
        self._preferences = Preferences()
        self._known = True

    @property
    def highlighted(self) -> Preference:
        return self._rows[self.cursor]

    def value(self, row: Preference) -> PreferenceValue:
        """What it is now."""
        value: PreferenceValue = getattr(self._preferences, row.name)
        return value

    def show(self, preferences: Preferences, *, known: bool) -> None:
        """`known`: the supervisor has told them; else these are the defaults."""
        self._preferences, self._known = preferences, known
        self.repaint()

    def row_count(self) -> int:
        return len(self._rows)

    def heading(self, width: int) -> Sequence[Strip]:
        return [line(("  settings", self.colour("primary", bold=True)))]

    def row(self, index: int, width: int, selected: bool) -> Strip:
        row = self._rows[index]
        on = "cursor" if selected else ""
        value = self.value(row)
        style = self.colour("muted" if value == row.default or not self._known else "strong", on=on)
        arrows = ("◂ ", " ▸") if selected else ("  ", "  ")
        pieces = [
            ("▌ " if selected else "  ", self.colour("primary", on=on)),
            (fit(row.label, _LABEL), self.colour("strong" if selected else "foreground", on=on)),
            (arrows[0], self.colour("primary", on=on)),
            (shown(row, value), self.colour("strong", on=on) if selected else style),
            (arrows[1], self.colour("primary", on=on)),
        ]
        return filled(line(*pieces), width, self.colour("foreground", on=on))


class SettingHelp(LineCanvas):
    """What the highlighted setting does, what it may be, and how it is set from the command line."""

    def __init__(self) -> None:
        super().__init__()
        self._row: Preference | None = None

    def show(self, row: Preference) -> None:
        self._row = row
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        row = self._row
        if row is None:
            return []
        text = wrap(row.help, max(20, min(width - 2, 90)))
        lines = [line((f"  {part}", self.colour("foreground"))) for part in text]
        lines.append(Strip([]))
        lines.append(line((f"  {row.allowed}; {shown(row, row.default)} at first", self.colour("muted"))))
        lines.append(line((f"  saetui config set {row.name} …", self.colour("muted"))))
        return lines


def shown(row: Preference, value: PreferenceValue) -> str:
    """A value as the list has it."""
    if row.name == "auto_resume_delay":
        return duration(float(value)) if value else "at once"
    unit = _UNITS.get(row.name)
    return f"{row.show(value)} {unit}" if unit else row.show(value)


def neighbour(row: Preference, value: PreferenceValue, direction: int) -> PreferenceValue:
    """The value after or before one; of a number the next larger or smaller of its steps. It ends at the ends."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        place = row.choices.index(value) if value in row.choices else 0
        return row.choices[(place + direction) % len(row.choices)]
    steps = STEPS[row.name]
    beyond = [step for step in steps if (step > value if direction > 0 else step < value)]
    found = (beyond[0] if direction > 0 else beyond[-1]) if beyond else value
    return int(found) if isinstance(row.default, int) else float(found)
