"""The user's preferences: how the screens look, and whether jobs resume by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

import msgspec

from saetui.errors import InvalidInput
from saetui.spec.hyperparameter import SWITCH_WORDS

PreferenceValue = Union[bool, int, float, str]


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """All preferences, which the supervisor keeps for every client. `PREFERENCES` explains each one."""

    auto_resume: bool = False
    auto_resume_tries: int = 3
    auto_resume_delay: float = 30.0
    theme: str = "auto"
    refresh_seconds: float = 0.5
    ascii_charts: bool = False


@dataclass(frozen=True)
class Preference:
    """One preference.

    Attributes:
        name: the field of `Preferences`.
        label: its name on the screens.
        help: one or two sentences.
        limits: of a number.
        choices: of a text.
    """

    name: str
    label: str
    help: str
    limits: tuple[float, float] = (0, 0)
    choices: tuple[str, ...] = ()

    @property
    def default(self) -> PreferenceValue:
        value: PreferenceValue = getattr(Preferences(), self.name)
        return value

    def read(self, text: str) -> PreferenceValue:
        """Read a typed value.

        Raises:
            InvalidInput: it has the wrong type, or is outside the limits.
        """
        value = self._parse(text.strip())
        if value is None:
            shown = self.show(self.default)
            raise InvalidInput(f"{self.name}: {text!r} is not {self.allowed}.", f"The default is {shown}.")
        return value

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if isinstance(self.default, bool):
            return "on or off"
        if self.choices:
            return ", ".join(self.choices)
        whole = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{whole} from {self.limits[0]:g} to {self.limits[1]:g}"

    def show(self, value: PreferenceValue) -> str:
        """A value as people type it."""
        if isinstance(value, bool):
            return "on" if value else "off"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _parse(self, text: str) -> PreferenceValue | None:
        """The value; None where it is not allowed."""
        if isinstance(self.default, bool):
            return SWITCH_WORDS.get(text.lower())
        if isinstance(self.default, str):
            return text if text in self.choices else None
        try:
            value = type(self.default)(text)
        except ValueError:
            return None
        return value if self.limits[0] <= value <= self.limits[1] else None


THEMES = ("auto", "saetui", "nord", "gruvbox", "catppuccin-mocha", "tokyo-night", "textual-light", "saetui-ansi")

_ROWS = (
    Preference("auto_resume", "resume by itself",
        "Start a job again from its newest checkpoint when it was killed, or lost with the machine. Never after an error of the "
        "training itself."),
    Preference("auto_resume_tries", "tries",
        "How often a job is started again by itself before a person must start it.", limits=(1, 100)),
    Preference("auto_resume_delay", "delay",
        "Seconds before the first try; each further one waits twice as long, an hour at most.", limits=(0, 3600)),
    Preference("theme", "theme", "The colours of the screens; auto: the best that the terminal can show.", choices=THEMES),
    Preference("refresh_seconds", "refresh",
        "Seconds between two drawings of changing figures; a slow connection needs more.", limits=(0.2, 60)),
    Preference("ascii_charts", "ASCII charts", "Draw charts with ASCII characters instead of braille dots."),
)  # fmt: skip

PREFERENCES: Mapping[str, Preference] = {row.name: row for row in _ROWS}


def find_preference(name: str) -> Preference:
    """The preference with a name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in PREFERENCES:
        raise InvalidInput(f"There is no setting {name!r}.", f"Choose one of {', '.join(PREFERENCES)}.")
    return PREFERENCES[name]


def check_preferences(values: Mapping[str, object]) -> dict[str, PreferenceValue]:
    """Check values that came from outside.

    Raises:
        InvalidInput: an unknown name, a wrong type, or a value outside its limits.
    """
    checked: dict[str, PreferenceValue] = {}
    for name, value in values.items():
        row = find_preference(name)
        if not isinstance(value, (bool, int, float, str)):
            raise InvalidInput(f"{name}: {value!r} is not {row.allowed}.")
        checked[name] = row.read(row.show(value))
    return checked
