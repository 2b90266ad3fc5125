"""The event log of a job: one JSON object a line, each with its own checksum; lines are appended and never changed."""

from __future__ import annotations

import errno
import os
import stat
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from saetui.display.figures import size
from saetui.errors import FormatError
from saetui.failpoints import hit
from saetui.formats.durable import append_whole
from saetui.formats.regular import NotRegular, TooLarge, open_regular
from saetui.formats.sealed import decode_sealed, seal
from saetui.formats.times import iso, now

NEWS_LIMIT = 64 << 20
"""Bytes that are read at once: room for some hundred thousand events; a long job has a few thousand."""

DAMAGED = "A line of the event log is damaged and was left out."


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job.

    Attributes:
        time: ISO 8601, UTC.
        kind: started, phase, checkpoint, evaluation, warning, info, exported or ended.
        step: finished steps at that moment; None before the training began.
        data: values for programs.
    """

    time: str
    kind: str
    message: str
    step: int | None = None
    data: dict[str, Any] = {}


class EventLog:
    """Appends events. Each is durable when `append` returns: events are rare and must not be lost."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))
        if not _ends_with_newline(path):
            # An earlier process left a torn last line: the next event must not continue it.
            append_whole(self._file, b"\n", point="events")

    def append(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Write one event.

        Raises:
            OSError: the disk is full; the log is unchanged.
        """
        event = LoggedEvent(time=now(), kind=kind, message=message, step=step, data=data or {})
        end = append_whole(self._file, seal(msgspec.json.encode(event)) + b"\n", point="events")
        try:
            hit("events.fsync")
            os.fsync(self._file.fileno())
        except OSError:
            # An event that may not be durable is taken back, so that a second try does not write it twice.
            self._file.truncate(end)
            raise

    def close(self) -> None:
        self._file.close()


class EventReader:
    """Reads a log that may still grow, may not exist yet, or may be replaced when the job is retried from its start.

    A warning stands in the place of a damaged line.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        """`start`: the byte at which to begin."""
        self.path = path
        self._offset = start
        self._file: int | None = None
        self._time: str | None = None

    def poll(self) -> list[LoggedEvent]:
        """The events since the last call.

        Raises:
            FormatError: it is not a plain file, or has more new events than any job writes.
            OSError: it cannot be read at the moment.
        """
        try:
            data = self._new_bytes()
        except FileNotFoundError:
            return []
        except (NotRegular, TooLarge) as error:
            raise FormatError(
                f"{self.path} cannot be read: {error.strerror}.", "Move it away; nothing else in the job depends on it."
            ) from error
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._event(line) for line in whole.split(b"\n")[:-1]]

    def _new_bytes(self) -> bytes:
        found = self.path.stat()
        if self._file not in (None, found.st_ino) or found.st_size < self._offset:
            self._offset = 0
        self._file = found.st_ino
        unread = found.st_size - self._offset
        if unread == 0 and stat.S_ISREG(found.st_mode):
            return b""
        with open_regular(self.path) as file:
            if unread > NEWS_LIMIT:
                raise TooLarge(errno.EFBIG, f"{size(unread)} are new, and at most {size(NEWS_LIMIT)} are read")
            file.seek(self._offset)
            return file.read(NEWS_LIMIT)

    def _event(self, line: bytes) -> LoggedEvent:
        try:
            event = decode_sealed(line, LoggedEvent)
        except msgspec.DecodeError:
            changed = datetime.fromtimestamp(self.path.stat().st_mtime, timezone.utc)
            return LoggedEvent(time=self._time or iso(changed), kind="warning", message=DAMAGED)
        self._time = event.time
        return event


def read_events(path: Path) -> list[LoggedEvent]:
    """All events of a log, oldest first; none where there is no log."""
    return EventReader(path).poll()


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        return end == 0 or file.read(1) == b"\n"
