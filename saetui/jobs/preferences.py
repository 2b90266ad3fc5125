"""The user's preferences: how the screens look, and whether jobs resume by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

import msgspec

from saetui.errors import InvalidInput
from saetui.spec.hyperparameter import SWITCH_WORDS

PreferenceValue = Union[bool, int, float, str]

THEMES = ("auto", "saetui", "nord", "gruvbox", "catppuccin-mocha", "tokyo-night", "textual-light", "saetui-ansi")
CHARTS = (
    "loss", "fvu", "l0", "dead_fraction", "ce_recovered", "grad_norm", "learning_rate", "tokens_per_second", "memory_bytes",
    "recon_loss", "sparsity_loss", "aux_loss", "sparsity_coefficient",
)  # fmt: skip
"""The columns that have a chart."""
DEFAULT_CHARTS = "auto"
"""None was chosen to come first."""


ORDERS = (
    "state", "newest", "name", "loss", "fvu", "l0", "held_fvu", "dead", "step", "progress", "tokens_per_second", "eta", "started",
    "elapsed", "architecture", "model", "sites",
)  # fmt: skip
"""What the list of jobs can be ordered by."""
REVERSED = "_reversed"
"""After an order: turned round."""


class Preferences(msgspec.Struct, frozen=True, kw_only=True):
    """All preferences, which the supervisor keeps for every client. `PREFERENCES` explains each one."""

    auto_resume: bool = False
    auto_resume_tries: int = 3
    auto_resume_delay: float = 30.0
    theme: str = "auto"
    refresh_seconds: float = 0.5
    ascii_charts: bool = False
    charts: str = DEFAULT_CHARTS
    notices: bool = True
    bell: bool = True
    desktop_notices: bool = True
    order: str = ORDERS[0]


@dataclass(frozen=True)
class Preference:
    """One preference.

    Attributes:
        name: the field of `Preferences`.
        label: its name on the screens.
        help: one or two sentences.
        limits: of a number.
        choices: of a text.
        several: several choices may be given, separated by commas.
    """

    name: str
    label: str
    help: str
    limits: tuple[float, float] = (0, 0)
    choices: tuple[str, ...] = ()
    several: bool = False

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
            listed = ", ".join(self.choices)
            return f"{self.default}, or one or more of {listed} with commas between" if self.several else listed
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
        if self.several and text != self.default:
            names = [name.strip() for name in text.split(",")]
            return ",".join(dict.fromkeys(names)) if set(names) <= set(self.choices) else None
        if isinstance(self.default, str):
            return text if self.several or text in self.choices else None
        try:
            value = type(self.default)(text)
        except ValueError:
            return None
        return value if self.limits[0] <= value <= self.limits[1] else None


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
    Preference("notices", "notices", "Say on the screen when a job has completed, failed or is lost."),
    Preference("bell", "bell", "Ring the terminal's bell then; `saetui watch` rings it too."),
    Preference("desktop_notices", "desktop",
        "Ask the terminal for a notice of the desktop then, also in `saetui watch`; tmux needs: set -g allow-passthrough on."),
    Preference("order", "order of jobs", "What the list of jobs is ordered by; with _reversed after it the other way round.",
        choices=(*ORDERS, *(order + REVERSED for order in ORDERS))),
    Preference("charts", "charts", "Which charts come first, by their columns in the metrics; the others are on the pages after them.",
        choices=CHARTS, several=True),
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


def chosen_charts(preferences: Preferences) -> tuple[str, ...]:
    """The columns whose charts come first."""
    return () if preferences.charts == DEFAULT_CHARTS else tuple(preferences.charts.split(","))


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
