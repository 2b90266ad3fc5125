"""What the user prefers: how the screens look, and whether jobs are started again by themselves. One row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Union

import msgspec

from saetui.errors import InvalidInput

PreferenceValue = Union[bool, int, float, str]


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """All preferences; kept by the supervisor, the same for every client. `PREFERENCES` says what each one means."""

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
        label: as the screens call it.
        help: one or two sentences.
        smallest, largest: the limits of a number.
        choices: what a text may be; empty: not limited here.
    """

    name: str
    label: str
    help: str
    smallest: float | None = None
    largest: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def default(self) -> PreferenceValue:
        value: PreferenceValue = getattr(Preferences(), self.name)
        return value

    def read(self, text: str) -> PreferenceValue:
        """The value that a person typed.

        Raises:
            InvalidInput: it is none, or out of its limits.
        """
        reader: Callable[[str], PreferenceValue] = _READERS[type(self.default)]
        try:
            value = reader(text.strip())
        except ValueError:
            raise self._wrong(text) from None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not self._within(value):
            raise self._wrong(text)
        if self.choices and value not in self.choices:
            raise self._wrong(text)
        return value

    @property
    def allowed(self) -> str:
        """What it may be, in words."""
        if isinstance(self.default, bool):
            return "on or off"
        if self.choices:
            return ", ".join(self.choices)
        whole = "a whole number" if isinstance(self.default, int) else "a number"
        return f"{whole} from {self.smallest:g} to {self.largest:g}"

    def show(self, value: PreferenceValue) -> str:
        """A value as it is typed."""
        if isinstance(value, bool):
            return "on" if value else "off"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _within(self, value: float) -> bool:
        assert self.smallest is not None and self.largest is not None
        return self.smallest <= value <= self.largest

    def _wrong(self, text: str) -> InvalidInput:
        return InvalidInput(
            f"{self.name}: {text!r} is not {self.allowed}.", f"It is {self.show(self.default)} at first."
        )


THEMES = ("auto", "saetui", "nord", "gruvbox", "catppuccin-mocha", "tokyo-night", "textual-light", "saetui-ansi")

PREFERENCES: Mapping[str, Preference] = {
    preference.name: preference
    for preference in (
        Preference(
            "auto_resume",
            "resume by itself",
            "Start a job again from its newest checkpoint when it was killed, or lost with the machine. "
            "Never after an error of the training itself.",
        ),
        Preference(
            "auto_resume_tries",
            "tries",
            "How often a job is started again by itself, until a person starts it.",
            smallest=1,
            largest=100,
        ),
        Preference(
            "auto_resume_delay",
            "delay",
            "Seconds before the first try; each further one waits twice as long, an hour at most.",
            smallest=0,
            largest=3600,
        ),
        Preference("theme", "theme", "The colours of the screens; auto: what the terminal can show.", choices=THEMES),
        Preference(
            "refresh_seconds",
            "refresh",
            "Seconds between two drawings of live figures; more is easier on a slow line.",
            smallest=0.2,
            largest=60,
        ),
        Preference("ascii_charts", "ASCII charts", "Draw charts with ASCII letters instead of braille dots."),
    )
}


def find_preference(name: str) -> Preference:
    """The row of a name.

    Raises:
        InvalidInput: there is none.
    """
    if name not in PREFERENCES:
        raise InvalidInput(f"There is no setting {name!r}.", f"Those that there are: {', '.join(PREFERENCES)}.")
    return PREFERENCES[name]


def check_preferences(values: Mapping[str, object]) -> dict[str, PreferenceValue]:
    """Values that came from outside, as they may be kept.

    Raises:
        InvalidInput: an unknown name, a wrong type, or a value out of its limits.
    """
    checked: dict[str, PreferenceValue] = {}
    for name, value in values.items():
        row = find_preference(name)
        if not isinstance(value, (bool, int, float, str)):
            raise InvalidInput(f"{name}: {value!r} is not {row.allowed}.")
        checked[name] = row.read(row.show(value))
    return checked


def _on_or_off(text: str) -> bool:
    words = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _finite(text: str) -> float:
    value = float(text)
    if value != value:
        raise ValueError(text)
    return value


_READERS: Mapping[type, Callable[[str], PreferenceValue]] = {bool: _on_or_off, int: int, float: _finite, str: str}
