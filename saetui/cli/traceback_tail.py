"""The last traceback in a trainer's log."""

from __future__ import annotations

from pathlib import Path

_HEAD = "Traceback (most recent call last)"
_READ_BYTES = 64 << 10
_LINES = 30


def last_traceback(log: Path) -> str | None:
    """The end of the last traceback, 30 lines at most; None where the log has none."""
    lines = tail(log)
    heads = [number for number, line in enumerate(lines) if line.startswith(_HEAD)]
    if not heads:
        return None
    return "\n".join(lines[heads[-1] :][-_LINES:])


def tail(log: Path) -> list[str]:
    """The last lines of a log (64 KiB of it); none where there is no log."""
    try:
        with open(log, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _READ_BYTES))
            return file.read().decode("utf-8", errors="backslashreplace").splitlines()
    except FileNotFoundError:
        return []
