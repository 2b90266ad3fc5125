"""The last traceback in a trainer's log."""

from __future__ import annotations

from pathlib import Path

from saetui.rundir.log import last_lines

_HEAD = "Traceback (most recent call last)"
_READ_BYTES = 64 << 10
_LINES = 30


def last_traceback(log: Path) -> str | None:
    """The end of the last traceback, 30 lines at most; None where the log has none."""
    lines = last_lines(log, _READ_BYTES)
    heads = [number for number, line in enumerate(lines) if line.startswith(_HEAD)]
    if not heads:
        return None
    return "\n".join(lines[heads[-1] :][-_LINES:])
