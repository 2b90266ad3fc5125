"""The event log of a job: one JSON object a line, appended, never changed."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a job.

    Attributes:
        time: ISO 8601, UTC.
        kind: started, phase, checkpoint, evaluation, warning, info, exported or ended.
        step: finished steps at that moment; None before the training began.
        data: figures for programs.
    """

    time: str
    kind: str
    message: str
    step: int | None = None
    data: dict[str, Any] = {}


class EventLog:
    """Appends events; each is durable when `append` returns, since transitions are rare and must not be lost."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))
        if not _ends_with_newline(path):
            # A torn last line of an earlier process must not swallow the next event.
            self._file.write(b"\n")

    def append(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Write one event.

        Raises:
            OSError: the disk is full.
        """
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = LoggedEvent(time=time, kind=kind, message=message, step=step, data=data or {})
        self._file.write(msgspec.json.encode(event) + b"\n")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class EventReader:
    """Reads a log that may still grow, or not be there yet. A line that is torn or damaged is skipped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def poll(self) -> list[LoggedEvent]:
        """The events since the last call."""
        try:
            if self.path.stat().st_size == self._offset:
                return []
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        events = []
        for line in whole.splitlines():
            try:
                events.append(msgspec.json.decode(line, type=LoggedEvent))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
        return events


def read_events(path: Path) -> list[LoggedEvent]:
    """All events of a log, oldest first; none where there is no log."""
    return EventReader(path).poll()


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return True
        file.seek(size - 1)
        return file.read(1) == b"\n"
