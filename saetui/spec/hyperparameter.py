"""One hyperparameter: its name, its allowed values, when it matters, and how it is typed and shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Union

from saetui.display.figures import plain_number
from saetui.errors import InvalidInput
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.problems import nearest

Value = Union[bool, int, float, str, None]

SWITCH_WORDS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}


class Section(str, Enum):
    """The parts of the form."""

    BASIC = "Basic"
    SPARSITY = "Sparsity"
    OPTIMIZATION = "Optimization"
    CHECKPOINTS = "Checkpoints"


class Kind(str, Enum):
    """The type of a value."""

    INTEGER = "a whole number"
    NUMBER = "a number"
    SWITCH = "true or false"
    CHOICE = "one of a list"
    WIDTHS = "rising whole numbers with commas between them"


@dataclass(frozen=True)
class When:
    """The condition on another hyperparameter under which one matters.

    Attributes:
        name: of the other one.
        choices: the values of the other one with which this one matters; empty: `given` decides.
        given: whether the other one must be set, or must not be.
        architectures: to which the condition applies.
    """

    name: str
    choices: tuple[str, ...] = ()
    given: bool = True
    architectures: tuple[str, ...] = ARCHITECTURES

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the condition holds for values that are complete with defaults."""
        if self.choices:
            return values.get(self.name) in self.choices
        return (values.get(self.name) is not None) is self.given

    def sentence(self) -> str:
        """The end of a sentence that begins with `matters only`."""
        if self.choices:
            return f"with {self.name} {' or '.join(self.choices)}"
        return f"when {self.name} is set" if self.given else f"while {self.name} is not set"


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    Attributes:
        default: for every architecture that is not in `defaults`.
        help: what it does, and when to change it; two sentences.
        unit: what is counted or measured; empty for a pure number.
        none_means: the meaning of an empty value; empty: a value is needed.
        recommended: a value outside this range causes a warning.
        limits: a value outside these is an error.
        architectures: the ones that use it; others hide it and refuse it.
        when: the condition under which it matters.
    """

    name: str
    section: Section
    kind: Kind
    default: Value
    _: KW_ONLY
    help: str
    unit: str = ""
    defaults: Mapping[str, Value] = field(default_factory=dict)
    none_means: str = ""
    recommended: tuple[float, float] | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)
    choices: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ARCHITECTURES
    when: When | None = None
    advanced: bool = False

    @property
    def accepts_none(self) -> bool:
        """Whether it may be left empty."""
        return bool(self.none_means)

    def default_for(self, architecture: str) -> Value:
        """The value in a job of this architecture that does not set one."""
        return self.defaults.get(architecture, self.default)

    def range_text(self) -> str:
        """The recommended range, else the limits, in words."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is Kind.SWITCH:
            return "true or false"
        if self.kind is Kind.WIDTHS:
            return "e.g. 256,512,1024, the last of them all latents"
        low, high = self.recommended or self.limits
        if math.isinf(high):
            return f"at least {plain_number(low)}" if not math.isinf(low) else ""
        return f"{plain_number(low)} to {plain_number(high)}"

    def check(self, value: object) -> str | None:
        """Why a value is refused, as the end of a sentence that begins with the value; None for an allowed value."""
        if value is None:
            return None if self.accepts_none else f"must be {self._wanted()}, not empty"
        if self.kind is Kind.SWITCH:
            return None if isinstance(value, bool) else "must be true or false"
        if self.kind is Kind.CHOICE:
            return None if value in self.choices else f"must be one of {', '.join(self.choices)}"
        if self.kind is Kind.WIDTHS:
            return None if isinstance(value, str) and read_widths(value) else f"must be {self.kind.value}"
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"must be {self.kind.value}"
        if self.kind is Kind.INTEGER and not (isinstance(value, int) or value.is_integer()):
            return "must be a whole number"
        if not math.isfinite(value):
            return "must be a finite number"
        low, high = self.limits
        if value < low:
            return f"is below its limit of {plain_number(low)}"
        if value > high:
            return f"is above its limit of {plain_number(high)}"
        return None

    def outside_recommended(self, value: Value) -> bool:
        """Whether an allowed value lies outside the recommended range."""
        if self.recommended is None or isinstance(value, (bool, str)) or value is None:
            return False
        low, high = self.recommended
        return not low <= value <= high

    def normal(self, value: Value) -> Value:
        """The same value in the row's own type: 512 for 512.0, 1.0 for 1."""
        if isinstance(value, str) and self.kind is Kind.WIDTHS:
            return ",".join(map(str, read_widths(value)))
        if value is None or isinstance(value, (bool, str)):
            return value
        return int(value) if self.kind is Kind.INTEGER else float(value)

    def parse(self, text: str) -> Value:
        """Read a typed value.

        Raises:
            InvalidInput: it is not of the row's kind, or outside its limits.
        """
        value = self._read(text.strip())
        reason = self.check(value)
        if reason:
            raise InvalidInput(
                f"{self.name}: {text.strip() or 'an empty value'} {reason}.", nearest(text, self.choices)
            )
        return self.normal(value)

    def show(self, value: Value) -> str:
        """A value as people type it; empty for None."""
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else plain_number(value)

    def _read(self, text: str) -> Value:
        lower = text.lower()
        if self.kind is Kind.CHOICE:
            return text
        if self.kind is Kind.SWITCH:
            return SWITCH_WORDS.get(lower, text)
        if lower in ("", "none", "null", "auto", "off"):
            return None
        if self.kind is Kind.WIDTHS:
            return text
        number = typed_number(lower)
        if number is None:
            return text
        return int(number) if self.kind is Kind.INTEGER and number.is_integer() and abs(number) < 1e15 else number

    def _wanted(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else self.kind.value


def typed_number(text: str) -> float | None:
    """A number as people type it (`12,000`, `12k`, `1.5m`, `1e-4`); None for any other text."""
    cleaned = without_separators(text.lower())
    scale = {"k": 1e3, "m": 1e6}.get(cleaned[-1:], 1.0)
    try:
        return float(cleaned[:-1] if scale != 1.0 else cleaned) * scale
    except ValueError:
        return None


def without_separators(number: str) -> str:
    """The text of a number without commas between groups of three digits; unchanged where a comma stands elsewhere."""
    return number.replace(",", "") if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?[km]?", number) else number


def read_widths(text: str) -> tuple[int, ...]:
    """Read widths such as `256,512,1024`; empty where they are not positive whole numbers that rise."""
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        return ()
    widths = tuple(int(part) for part in parts)
    rising = all(low < high for low, high in zip((0, *widths), widths))
    return widths if rising else ()
