"""Numbers and times as people read them; a value that does not exist is a dash, never 0."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from saetui.jobs.times import parse

ABSENT = "–"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def number(value: float | None, digits: int = 3) -> str:
    """A figure to so many significant digits; whole numbers below a million in full."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1_000_000:
        return str(int(value))
    return f"{value:.{digits}g}"


def count(value: float | None) -> str:
    """A large count, short: 950, 12.3k, 4.1M."""
    if value is None or not math.isfinite(value):
        return ABSENT
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.3g}{unit}"
    return f"{value:.0f}"


def size(value: int | None) -> str:
    """A number of bytes in binary units."""
    if value is None:
        return ABSENT
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def share(value: float | None) -> str:
    """A part of one as a percentage, rounded down: 100 % is said only of what is whole."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{math.floor(value * 100 + 1e-9)} %"


def small_share(value: float | None) -> str:
    """A part of one that is a few per cent at most, as a percentage with a decimal."""
    return ABSENT if value is None or not math.isfinite(value) else f"{value * 100:.1f} %"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s" if whole < 10 * _MINUTE else f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def ago(time: str | None, now: datetime | None = None) -> str:
    """How long ago a time (ISO 8601, with its zone) was."""
    if time is None:
        return ABSENT
    seconds = ((now or datetime.now(timezone.utc)) - parse(time)).total_seconds()
    if seconds < 1:
        return "just now"
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"
