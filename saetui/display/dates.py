"""Times as people read them: in the zone of who looks. Files, messages and `--json` keep ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime

from saetui.display.text import one_line
from saetui.formats.times import parse


def date_and_time(time: str) -> str:
    """A stored time with its date and zone: `2026-11-21 05:23:00 CET`."""
    local = _local(time)
    return one_line(time) if local is None else f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"


def listed(time: str) -> str:
    """A stored time in a list of many: `2026-11-21 05:23:00`, in the same zone, which is not said on each line."""
    local = _local(time)
    return one_line(time) if local is None else f"{local:%Y-%m-%d %H:%M:%S}"


def _local(time: str) -> datetime | None:
    try:
        return parse(time).astimezone()
    except (ValueError, OverflowError):
        return None  # the file was edited or is damaged: its text is shown as it is
