"""What waits to be sent to one client: bounded, with progress that is replaced by newer progress."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from saetui.protocol.framing import TO_CLIENT_LIMIT, frame

CAPACITY = 1 << 20
"""Bytes that may wait for one client: 1 MiB."""


class Overflow(Exception):
    """More transitions wait than the client may have; it must connect again and take a snapshot."""


class _Event(msgspec.Struct, tag="event"):
    """`messages.Event` with its change encoded already, once for all clients."""

    seq: int
    change: msgspec.Raw


class _Waiting(NamedTuple):
    content: bytes
    is_change: bool


class Outbox:
    """A queue of frames to one client. Nothing here waits for the client but the one task that sends."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._progress: dict[str, int] = {}
        self._number = 0
        self._seq = 0
        self._filled = asyncio.Event()
        self._relieved = asyncio.Event()
        self._relieved.set()
        self.size = 0

    def put_frame(self, content: bytes) -> None:
        """An answer, framed. It always finds room: `room` keeps the client from asking on."""
        self._put(_Waiting(content, is_change=False))

    def put_change(self, change: bytes, job_id: str | None, *, progress_only: bool) -> None:
        """A change, encoded. Older progress of the same job that still waits is dropped.

        Raises:
            Overflow: it is no progress, and there is no room.
        """
        old = self._progress.pop(job_id, None) if job_id is not None else None
        if old is not None:
            self._drop(old)
        if self.size + len(change) > self._capacity:
            if progress_only:
                return
            raise Overflow
        number = self._put(_Waiting(change, is_change=True))
        if progress_only and job_id is not None:
            self._progress[job_id] = number

    def begin(self) -> int:
        """A snapshot is about to be put: changes that wait are part of it. The number of the last event sent."""
        for number in [number for number, waiting in self._waiting.items() if waiting.is_change]:
            self._drop(number)
        self._progress.clear()
        return self._seq

    async def take(self) -> bytes:
        """The next frame to send."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        number, waiting = self._waiting.popitem(last=False)
        self._shrink(waiting)
        if not waiting.is_change:
            return waiting.content
        for job_id in [job_id for job_id, place in self._progress.items() if place == number]:
            del self._progress[job_id]
        self._seq += 1
        return frame(msgspec.json.encode(_Event(self._seq, msgspec.Raw(waiting.content))), TO_CLIENT_LIMIT)

    async def room(self) -> None:
        """Wait until less waits than the capacity."""
        await self._relieved.wait()

    def _put(self, waiting: _Waiting) -> int:
        self._number += 1
        self._waiting[self._number] = waiting
        self.size += len(waiting.content)
        self._filled.set()
        if self.size > self._capacity:
            self._relieved.clear()
        return self._number

    def _drop(self, number: int) -> None:
        self._shrink(self._waiting.pop(number))

    def _shrink(self, waiting: _Waiting) -> None:
        self.size -= len(waiting.content)
        if self.size <= self._capacity:
            self._relieved.set()
