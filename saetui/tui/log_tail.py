"""The end of a job's log as the screen shows it: without escape sequences, read as it grows."""

from __future__ import annotations

import re
from pathlib import Path

from saetui.rundir.log import LogReader

TAIL_BYTES = 512 * 1024
"""How much of a log that is there already is read; the whole is in the job's directory."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class LogTail:
    """Reads the lines that are new at each call; a line without its end waits."""

    def __init__(self, path: Path) -> None:
        self._reader = LogReader(path, TAIL_BYTES)
        self._said = 0
        self._trouble: str | None = None

    def new_left_out(self) -> int:
        """Bytes that were passed over and not told of yet."""
        told, self._said = self._said, self._reader.left_out
        return self._said - told

    def poll(self) -> list[str]:
        """The new lines, without escape sequences; of a progress line written over itself only the last state.

        Of a log that grew by more than 512 KiB since the last call only the end is read. A log that cannot be read says
        so, once.
        """
        try:
            lines = self._reader.read_all()
            self._trouble = None
        except OSError as error:
            trouble = f"{self._reader.path} cannot be read: {error.strerror}"
            lines = [trouble] if trouble != self._trouble else []
            self._trouble = trouble
        return [_readable(text) for text in lines]


def _readable(raw: str) -> str:
    text = _ESCAPES.sub("", raw).rstrip("\r")
    return text.rpartition("\r")[2]
