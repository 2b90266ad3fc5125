"""Figures as people read them, in the CLI, the TUI and messages: few digits, steady widths, a dash where there is none."""

from __future__ import annotations

import math
from datetime import datetime

from saetui.formats.times import parse, utc_now

ABSENT = "–"
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(value: int | None) -> str:
    """12,345."""
    return ABSENT if value is None else f"{value:,}"


def short_count(value: float | None) -> str:
    """A count in at most five characters: 950, 12.3k, 1.20M."""
    if value is None or not math.isfinite(value):
        return ABSENT
    scaled, unit = value, ""
    for larger in ("k", "M", "G"):
        if abs(scaled) < 999.5:
            break
        scaled, unit = scaled / 1e3, larger
    digits = 0 if not unit or scaled >= 100 else 1 if scaled >= 10 else 2
    return f"{scaled:.{digits}f}{unit}"


def number(value: float | None) -> str:
    """A measured number in at most seven characters: 0.0123, 31.40, 1.20e-9."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    magnitude = abs(value)
    if magnitude == 0:
        return "0"
    if magnitude < 1e-4 or magnitude >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    digits = next(digits for limit, digits in _DIGITS if magnitude < limit)
    return f"{value:.{digits}f}"


_DIGITS = ((0.01, 5), (1, 4), (10, 3), (100, 2), (1e4, 1), (1e6, 0))
"""Below each magnitude, so many digits after the point."""


def plain_number(value: float) -> str:
    """A number as people type it: 100000, 0.001, 6e-05, 1.5."""
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share from 0 to 1 as a percentage. A share below 1 is never rounded up to 100 %."""
    if share is None or not math.isfinite(share):
        return ABSENT
    text = f"{share * 100:.{digits}f}"
    if share < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return text + "%"


def size(amount: float | None) -> str:
    """A number of bytes: 512 B, 3.1 GiB."""
    if amount is None:
        return ABSENT
    scaled, unit = float(amount), "B"
    for larger in _SIZE_UNITS[1:]:
        if abs(scaled) < 1023.95:
            break
        scaled, unit = scaled / 1024, larger
    return f"{scaled:.0f} {unit}" if unit == "B" or abs(scaled) >= 100 else f"{scaled:.1f} {unit}"


def size_of(part: float, whole: float) -> str:
    """A part of a number of bytes, both in the unit of the whole and equally wide: ` 3.1/15.5 GiB`."""
    text, unit = size(whole).split(" ")
    scaled = part / 1024.0 ** _SIZE_UNITS.index(unit)
    return f"{scaled:.{len(text.partition('.')[2])}f}".rjust(len(text)) + f"/{text} {unit}"


def duration(seconds: float | None) -> str:
    """A length of time in at most six characters: <1s, 42s, 3m05s, 2h10m, 5d03h."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if 0 < seconds < 1:
        return "<1s"
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def ago(time: str | None, now: datetime | None = None) -> str:
    """How long ago a time (ISO 8601, with its zone) was: just now, 42 s ago, 3 min ago."""
    if time is None:
        return ABSENT
    try:
        seconds = ((now or utc_now()) - parse(time)).total_seconds()
    except (ValueError, TypeError):
        return ABSENT  # not such a time: the file was edited or is damaged
    if seconds < 1:
        return "just now"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"
