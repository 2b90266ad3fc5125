"""Times as they are stored and sent: ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime, timezone


def now() -> str:
    """The present time, to the millisecond, e.g. `2026-11-21T04:23:00.123Z`."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(text: str) -> datetime:
    """The time that a text of `now` says, aware of its zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
