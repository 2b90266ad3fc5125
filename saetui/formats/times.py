"""Times as they are stored and sent: ISO 8601 in UTC, e.g. `2026-11-21T04:23:00.123Z`."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    """The present time, with its zone."""
    return datetime.now(timezone.utc)


def now(timespec: str = "milliseconds") -> str:
    """The present time. `timespec`: its precision, as for `datetime.isoformat`."""
    return iso(utc_now(), timespec)


def iso(time: datetime, timespec: str = "milliseconds") -> str:
    """A time with a zone, as text."""
    return time.astimezone(timezone.utc).isoformat(timespec=timespec).replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The time that such a text names, with its zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
