"""Publishing changes to every client that has subscribed, without waiting for any: each has a bounded queue."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import msgspec

from saetui.protocol.framing import TO_CLIENT_LIMIT, frame
from saetui.protocol.messages import Change, JobChanged, JobRemoved
from saetui.protocol.versions import understood

CAPACITY = 1 << 20
"""Bytes that may wait for one client: 1 MiB."""


class Subscriber(Protocol):
    """A client that has subscribed."""

    version: int
    """The version of the protocol that it speaks."""

    def publish(self, change: bytes, job_id: str | None, *, progress_only: bool) -> None:
        """Queue a change, encoded."""


class Broadcast:
    """All subscribers."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self.anyone = asyncio.Event()

    def add(self, subscriber: Subscriber) -> None:
        self._subscribers.add(subscriber)
        self.anyone.set()

    def remove(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers:
            self.anyone.clear()

    def publish(self, change: Change) -> None:
        """Send a change to all of them."""
        if not self._subscribers:
            return
        content = msgspec.json.encode(change)
        job_id = None
        progress_only = False
        if isinstance(change, JobChanged):
            job_id, progress_only = change.job.id, change.progress_only
        elif isinstance(change, JobRemoved):
            job_id = change.id
        for subscriber in list(self._subscribers):
            if understood(change, subscriber.version):
                subscriber.publish(content, job_id, progress_only=progress_only)


class Overflow(Exception):
    """Too many changes wait. The client must connect again and get a snapshot."""


class _Event(msgspec.Struct, tag="event"):
    """`messages.Event` with a change that is encoded already, once for all clients."""

    seq: int
    change: msgspec.Raw


class _Waiting(NamedTuple):
    """Bytes to send; or frames that are made one by one, so that a long answer is never whole in memory."""

    content: bytes
    is_change: bool
    frames: Iterator[bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes. Frames that are not made yet count as one."""
        return len(self.content) if self.frames is None else 1


class Outbox:
    """A queue of frames to one client. Only the one task that sends waits for the client."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._progress: dict[str, int] = {}
        self._number = 0
        self._seq = 0
        self._filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.size = 0

    def put_frame(self, content: bytes) -> None:
        """Queue an answer, framed. It always finds room: `room` delays the client's next request."""
        self._put(_Waiting(content, is_change=False))

    def put_frames(self, frames: Iterator[bytes]) -> None:
        """Queue an answer in several frames, each made when the client takes it."""
        self._put(_Waiting(b"", is_change=False, frames=frames))

    def put_change(self, change: bytes, job_id: str | None, *, progress_only: bool) -> None:
        """Queue a change, encoded. Older progress of the same job that still waits is dropped.

        Raises:
            Overflow: there is no room, and the change is more than progress.
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
        """Drop the changes that wait: they are part of the snapshot that is put next. Returns the last event's number."""
        for number in [number for number, waiting in self._waiting.items() if waiting.is_change]:
            self._drop(number)
        self._progress.clear()
        return self._seq

    async def take(self) -> bytes:
        """The next frame to send."""
        while True:
            while not self._waiting:
                self._filled.clear()
                await self._filled.wait()
            number, waiting = next(iter(self._waiting.items()))
            if waiting.frames is None:
                break
            content = next(waiting.frames, None)
            if content is not None:
                return content
            self._drop(number)
        del self._waiting[number]
        self._shrink(waiting)
        if not waiting.is_change:
            return waiting.content
        for job_id in [job_id for job_id, place in self._progress.items() if place == number]:
            del self._progress[job_id]
        self._seq += 1
        return frame(msgspec.json.encode(_Event(self._seq, msgspec.Raw(waiting.content))), TO_CLIENT_LIMIT)

    async def room(self) -> None:
        """Wait until less waits than the capacity."""
        await self._has_room.wait()

    def _put(self, waiting: _Waiting) -> int:
        self._number += 1
        self._waiting[self._number] = waiting
        self.size += waiting.size
        self._filled.set()
        if self.size > self._capacity:
            self._has_room.clear()
        return self._number

    def _drop(self, number: int) -> None:
        self._shrink(self._waiting.pop(number))

    def _shrink(self, waiting: _Waiting) -> None:
        self.size -= waiting.size
        if self.size <= self._capacity:
            self._has_room.set()
