"""The end of a job's log, read as it grows."""

from __future__ import annotations

import re
from pathlib import Path

TAIL_BYTES = 512 * 1024
"""How much of a log that is there already is read; the whole is in the job's directory."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


class LogTail:
    """Reads the lines that are new at each call; a line without its end waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out = 0
        self._offset: int | None = None
        self._rest = b""

    def poll(self) -> list[str]:
        """The new lines, without escape sequences; of a progress line written over itself only the last state."""
        try:
            size = self.path.stat().st_size
            if self._offset is None:
                self._offset = self.left_out = max(0, size - TAIL_BYTES)
            if size < self._offset:
                self._offset, self._rest = 0, b""
            if size == self._offset:
                return []
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return [_readable(text) for text in lines]


def _readable(raw: bytes) -> str:
    text = _ESCAPES.sub("", raw.decode("utf-8", "replace")).rstrip("\r")
    return text.rpartition("\r")[2]
