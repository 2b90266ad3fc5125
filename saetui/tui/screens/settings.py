"""Settings: the user's preferences, one line each, changed with the arrow keys and kept at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partialmethod
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.strip import Strip

from saetui.display.figures import duration
from saetui.display.text import fit
from saetui.jobs.preferences import PREFERENCES, Preference, Preferences, PreferenceValue
from saetui.tui.actions import Scope, bindings_for
from saetui.tui.screens.base import SaetuiScreen
from saetui.tui.screens.chart_choice import ChartChoice
from saetui.tui.widgets.line_canvas import LineCanvas, filled, line
from saetui.tui.widgets.line_list import LineList

STEPS: Mapping[str, Sequence[float]] = {
    "auto_resume_tries": (1, 2, 3, 5, 10, 100),
    "auto_resume_delay": (0, 10, 30, 60, 300, 900, 3600),
    "refresh_seconds": (0.25, 0.5, 1, 2, 5, 10),
}
"""The values that the keys go through; `saetui config set` takes others too."""

_LABEL_WIDTH = 20


class SettingsScreen(SaetuiScreen[None]):
    """The list, and below it the help of the highlighted setting."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for(Scope.SETTINGS)]

    def compose_body(self) -> ComposeResult:
        yield SettingsList()
        yield SettingHelp()

    def on_mount(self) -> None:
        self.query_one(SettingsList).focus()
        self.show_model()

    def show_model(self) -> None:
        self.query_one(SettingsList).show(self.model.preferences)
        self._show_help()

    def on_line_list_moved(self, event: LineList.Moved) -> None:
        self._show_help()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No setting can be changed before the supervisor has sent the present ones."""
        return self.model.preferences is not None if action in ("next_value", "previous_value", "reset_value") else True

    def action_reset_value(self) -> None:
        row = self.query_one(SettingsList).highlighted
        self.shell.set_preference(row.name, row.default)

    def _change(self, direction: int) -> None:
        table = self.query_one(SettingsList)
        row = table.highlighted
        if row.several:
            self._choose_charts()
        else:
            self.shell.set_preference(row.name, neighbour(row, table.value(row), direction))

    @work
    async def _choose_charts(self) -> None:
        chosen = await self.shell.ask(ChartChoice(self.shell.chosen_charts))
        if chosen is not None:
            self.shell.choose_charts(chosen)

    action_next_value = partialmethod(_change, 1)
    action_previous_value = partialmethod(_change, -1)

    def _show_help(self) -> None:
        self.query_one(SettingHelp).show(self.query_one(SettingsList).highlighted)


class SettingsList(LineList):
    """One line for each setting: name and value."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = tuple(PREFERENCES.values())
        self._preferences: Preferences | None = None

    @property
    def highlighted(self) -> Preference:
        return self._rows[self.cursor]

    def value(self, row: Preference) -> PreferenceValue:
        """The present value."""
        value: PreferenceValue = getattr(self._preferences or Preferences(), row.name)
        return value

    def show(self, preferences: Preferences | None) -> None:
        """None: the supervisor has not sent them; the defaults are shown."""
        self._preferences = preferences
        self.repaint()

    def row_count(self) -> int:
        return len(self._rows)

    def heading(self, width: int) -> Sequence[Strip]:
        return [line(("  settings", self.colour("primary", bold=True)))]

    def row(self, index: int, width: int, selected: bool) -> Strip:
        row = self._rows[index]
        on = "cursor" if selected else ""
        value = self.value(row)
        changed = self._preferences is not None and value != row.default
        bright, accent = self.colour("strong", on=on), self.colour("primary", on=on)
        pieces = [
            self.cursor_mark(selected, on),
            (fit(row.label, _LABEL_WIDTH), bright if selected else self.colour("foreground")),
            ("◂ " if selected else "  ", accent),
            (_value_text(row, value), bright if selected or changed else self.colour("muted")),
            (" ▸" if selected else "  ", accent),
        ]
        return filled(line(*pieces), width, self.colour("foreground", on=on))


class SettingHelp(LineCanvas):
    """The highlighted setting: its effect, its range, and how the command line sets it."""

    def __init__(self) -> None:
        super().__init__()
        self._row: Preference | None = None

    def show(self, row: Preference) -> None:
        self._row = row
        self.repaint()

    def draw(self, width: int, height: int) -> Sequence[Strip]:
        row, muted = self._row, self.colour("muted")
        if row is None:
            return []
        wrapped = max(22, min(width, 92))
        return [
            *self.paragraph(row.help, wrapped, "foreground", margin="  "),
            line(),
            *self.paragraph(f"{row.allowed}; default {_value_text(row, row.default)}", wrapped, "muted", margin="  "),
            line((f"  saetui config set {row.name} …", muted)),
        ]


def neighbour(row: Preference, value: PreferenceValue, direction: int) -> PreferenceValue:
    """The next or previous value; of a number, the next larger or smaller of its steps, and none beyond the last."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        place = row.choices.index(value) if value in row.choices else 0
        return row.choices[(place + direction) % len(row.choices)]
    steps = STEPS[row.name]
    beyond = [step for step in steps if (step > value if direction > 0 else step < value)]
    found = (beyond[0] if direction > 0 else beyond[-1]) if beyond else value
    return int(found) if isinstance(row.default, int) else float(found)


def _value_text(row: Preference, value: PreferenceValue) -> str:
    if row.name == "auto_resume_delay":
        return duration(float(value)) if value else "at once"
    return f"{row.show(value)} s" if row.name == "refresh_seconds" else row.show(value)
