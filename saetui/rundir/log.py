"""Reads a trainer's log of any size from its end, in parts: for the command line, the screens and the supervisor.

The runner keeps the log below a limit: it removes the oldest part, and the log then begins with a line that says how
many bytes were removed in all. A place in the log is therefore counted from the log's very beginning, removed bytes
included. So a reader that follows a log neither reads a line twice nor misses one because of a removal. (Text that is
written in the microseconds of the removal itself is lost.)
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from saetui.formats.run_files import LOG_HEADER

HEADER = re.compile(re.escape(LOG_HEADER).replace(re.escape("{:20d}"), r" *(\d+)").encode())

CHUNK_BYTES = 1 << 20
LINE_BYTES = 64 << 10
"""A longer line is returned in parts: a log may be one line of gigabytes."""


class LogReader:
    """Reads the finished lines of a log that may still grow, lose its oldest part, start again, or not exist yet.

    Attributes:
        left_out: bytes that are not returned: those that were removed, and those that `last_bytes` skips.
    """

    def __init__(self, path: Path, last_bytes: int | None = None) -> None:
        """Make a reader. `last_bytes`: at each call skip what lies before them, up to the beginning of a line."""
        self.path = path
        self.left_out = 0
        self._last_bytes = last_bytes
        self._place = 0
        self._unfinished = b""

    def read(self) -> list[str]:
        """The lines that were finished since the last call, from at most 1 MiB; call again until there are none.

        Raises:
            OSError: the log is not a plain file, or may not be read.
        """
        data = self._next_chunk()
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > LINE_BYTES:
            lines.append(self._unfinished)
            self._unfinished = b""
        return [line.decode("utf-8", errors="backslashreplace") for whole in lines for line in _parts(whole)]

    def read_all(self) -> list[str]:
        """All lines that were finished since the last call. They are held in memory: use it with `last_bytes`."""
        lines: list[str] = []
        while True:
            before = self._place
            lines += self.read()
            if self._place == before:
                return lines

    def rest(self) -> list[str]:
        """The last line, if it has no line end yet."""
        begun, self._unfinished = self._unfinished, b""
        return [begun.decode("utf-8", errors="backslashreplace")] if begun else []

    def _next_chunk(self) -> bytes:
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
                # The log started again: all of it is new.
                self._place, self._unfinished = 0, b""
            self._skip_to(removed)
            if self._last_bytes is not None and end - self._place > self._last_bytes:
                place = end - self._last_bytes
                # Skip to the beginning of a line, if one begins near.
                near = os.pread(descriptor, LINE_BYTES, place - 1 - removed + start)
                self._skip_to(place + near.find(b"\n") if b"\n" in near else place)
            data = os.pread(descriptor, CHUNK_BYTES, self._place - removed + start)
        finally:
            os.close(descriptor)
        self._place += len(data)
        return data

    def _skip_to(self, place: int) -> None:
        """Continue at this place of the log, if it lies ahead."""
        if place > self._place:
            self.left_out += place - self._place
            self._place, self._unfinished = place, b""


def last_lines(path: Path, last_bytes: int) -> list[str]:
    """The last lines of a log, from at most `last_bytes` of it; none where there is no log.

    Raises:
        OSError: the log is not a plain file, or may not be read.
    """
    reader = LogReader(path, last_bytes)
    return reader.read_all() + reader.rest()


def _extent(descriptor: int) -> tuple[int, int, int]:
    """The offset of the log's own text in its file, the number of bytes removed before it, and the file's size."""
    found = HEADER.match(os.pread(descriptor, 100, 0))
    size = os.fstat(descriptor).st_size
    return (found.end(), int(found[1]), size) if found else (0, 0, size)


def _parts(line: bytes) -> list[bytes]:
    return [line[start : start + LINE_BYTES] for start in range(0, len(line), LINE_BYTES)] or [line]
