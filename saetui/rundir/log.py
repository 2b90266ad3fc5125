"""A trainer's log, read from its end, in pieces, whatever its size: by the command line, the screens and the supervisor.

The runner keeps the log below a limit: it removes the oldest part, and the log then begins with a line that says how
many bytes were removed in all. A place in the log is therefore counted from the log's very beginning, what was removed
included; so whoever follows a log neither reads a line twice nor misses one because of a removal (but for what is written in the
microseconds of the cut itself, which is lost).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

HEADER = re.compile(rb"\[saetui removed +(\d+) bytes of this log\]\n")
"""The first line of a log whose oldest part was removed; the runner writes it (runner.py)."""

PIECE_BYTES = 1 << 20
LINE_BYTES = 64 << 10
"""A longer line is handed out in parts: a log may be one line of gigabytes."""


class LogReader:
    """Reads the finished lines of a log that may still grow, lose its oldest part, begin anew, or not be there yet.

    Attributes:
        left_out: bytes that are not handed out: those that were removed, and those that `last_bytes` passes over.
    """

    def __init__(self, path: Path, last_bytes: int | None = None) -> None:
        """A reader of all, or of what lies within the last `last_bytes` at each call, from the beginning of a line on."""
        self.path = path
        self.left_out = 0
        self._last_bytes = last_bytes
        self._place = 0
        self._begun = b""

    def read(self) -> list[str]:
        """The lines that were finished since the last call, out of at most 1 MiB; call again until there are none.

        Raises:
            OSError: the log is no plain file, or may not be read.
        """
        data = self._next_piece()
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > LINE_BYTES:
            lines.append(self._begun)
            self._begun = b""
        return [line.decode("utf-8", errors="backslashreplace") for whole in lines for line in _parts(whole)]

    def read_all(self) -> list[str]:
        """All lines that were finished since the last call; in memory, so only with a `last_bytes`."""
        lines: list[str] = []
        while True:
            before = self._place
            lines += self.read()
            if self._place == before:
                return lines

    def rest(self) -> list[str]:
        """The last line, where it was begun and has no end."""
        begun, self._begun = self._begun, b""
        return [begun.decode("utf-8", errors="backslashreplace")] if begun else []

    def _next_piece(self) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return b""
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a plain file", str(self.path))
            start, removed, size = _extent(descriptor)
            end = removed + size - start
            if self._place > end:
                # A log that was begun anew: all of it is news.
                self._place, self._begun = 0, b""
            self._pass_over(removed)
            if self._last_bytes is not None and end - self._place > self._last_bytes:
                place = end - self._last_bytes
                # To the beginning of a line, if one begins near.
                near = os.pread(descriptor, LINE_BYTES, place - 1 - removed + start)
                self._pass_over(place + near.find(b"\n") if b"\n" in near else place)
            data = os.pread(descriptor, PIECE_BYTES, self._place - removed + start)
        finally:
            os.close(descriptor)
        self._place += len(data)
        return data

    def _pass_over(self, place: int) -> None:
        """Go on from this place of the log, if it lies ahead."""
        if place > self._place:
            self.left_out += place - self._place
            self._place, self._begun = place, b""


def last_lines(path: Path, last_bytes: int) -> list[str]:
    """The last lines of a log, out of at most so many bytes; none where there is no log.

    Raises:
        OSError: the log is no plain file, or may not be read.
    """
    reader = LogReader(path, last_bytes)
    return reader.read_all() + reader.rest()


def _extent(descriptor: int) -> tuple[int, int, int]:
    """Where the log's own text starts in its file, how many bytes were removed before it, and the file's size."""
    found = HEADER.match(os.pread(descriptor, 100, 0))
    size = os.fstat(descriptor).st_size
    return (found.end(), int(found[1]), size) if found else (0, 0, size)


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_BYTES] for start in range(0, len(line), LINE_BYTES)] or [line]
