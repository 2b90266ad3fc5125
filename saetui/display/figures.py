"""Figures as people read them: few digits, steady widths, and a dash where there is none. For the CLI, the TUI and messages."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from saetui.formats.times import parse

ABSENT = "–"


def count(value: int | None) -> str:
    """12,345."""
    return ABSENT if value is None else f"{value:,}"


def short_count(value: float | None) -> str:
    """A count in at most five letters: 950, 12.3k, 1.20M."""
    if value is None or not math.isfinite(value):
        return ABSENT
    for limit, size, unit in ((1e3, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (math.inf, 1e9, "G")):
        if abs(value) < limit * 0.9995:
            scaled = value / size
            if not unit:
                return f"{scaled:.0f}"
            return (
                f"{scaled:.2f}{unit}"
                if scaled < 10
                else f"{scaled:.1f}{unit}"
                if scaled < 100
                else f"{scaled:.0f}{unit}"
            )
    return ABSENT


def number(value: float | None) -> str:
    """A measured number in at most seven letters: 0.0123, 31.4, 1.2e-9."""
    if value is None:
        return ABSENT
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-4 or size >= 1e6:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if size < 1:
        return f"{value:.5f}" if size < 0.01 else f"{value:.4f}"
    return (
        f"{value:.3f}"
        if size < 10
        else f"{value:.2f}"
        if size < 100
        else f"{value:.1f}"
        if size < 1e4
        else f"{value:.0f}"
    )


def percent(share: float | None, digits: int = 0) -> str:
    """A share of 1 as a percentage. Less than all is never rounded up to 100 %."""
    if share is None or not math.isfinite(share):
        return ABSENT
    text = f"{share * 100:.{digits}f}"
    if share < 1 and float(text) >= 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    return text + "%"


def size(amount: float | None) -> str:
    """A number of bytes in binary units: 512 B, 3.1 GiB."""
    if amount is None:
        return ABSENT
    scaled, unit = float(amount), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(scaled) < 1023.95:
            break
        scaled, unit = scaled / 1024, larger
    return f"{scaled:.0f} {unit}" if unit == "B" or abs(scaled) >= 100 else f"{scaled:.1f} {unit}"


def duration(seconds: float | None) -> str:
    """A stretch of time in at most six letters: 42s, 3m05s, 2h10m, 5d03h."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def ago(time: str | None, now: datetime | None = None) -> str:
    """How long ago a time (ISO 8601, with its zone) was."""
    if time is None:
        return ABSENT
    seconds = ((now or datetime.now(timezone.utc)) - parse(time)).total_seconds()
    if seconds < 1:
        return "just now"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"
