"""Who wants to hear of changes, and telling them without waiting for anyone."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from saetui.protocol.messages import Change, JobChanged, JobRemoved
from saetui.protocol.versions import understood


class Listener(Protocol):
    """A client that has subscribed."""

    version: int
    """Of the protocol that it speaks."""

    def hear(self, change: bytes, job_id: str | None, *, progress_only: bool) -> None:
        """Queue a change, encoded."""


class Hub:
    """All subscribers."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self.anyone = asyncio.Event()

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)
        self.anyone.set()

    def remove(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        if not self._listeners:
            self.anyone.clear()

    def publish(self, change: Change) -> None:
        """Tell everyone."""
        if not self._listeners:
            return
        content = msgspec.json.encode(change)
        job_id = None
        progress_only = False
        if isinstance(change, JobChanged):
            job_id, progress_only = change.job.id, change.progress_only
        elif isinstance(change, JobRemoved):
            job_id = change.id
        for listener in list(self._listeners):
            if understood(change, listener.version):
                listener.hear(content, job_id, progress_only=progress_only)
