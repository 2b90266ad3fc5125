"""A connection that is made again whenever it ends: for the TUI, which outlives any supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from saetui.client.asyncio_client import AsyncioClient
from saetui.client.lifecycle import ensure_supervisor
from saetui.client.session import ANSWER_SECONDS
from saetui.client.wire import NotRunning
from saetui.errors import SaetuiError, SupervisorError
from saetui.home import Home, find_home
from saetui.protocol.messages import BaseRequest, Event, R, Snapshot

DELAYS = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each further attempt to reach or start a supervisor; the last one repeats."""

WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Unreachable:
    """The supervisor cannot be reached, for this reason; it is being started again."""

    error: SaetuiError


class Link:
    """The supervisor of a home, whichever process that is at the moment."""

    def __init__(self, home: Home | None = None, *, client: str = "tui") -> None:
        """Nothing is connected until `updates` is iterated."""
        self._home = home or find_home()
        self._name = client
        self._client: AsyncioClient | None = None
        self._connected = asyncio.Event()
        self._closed = asyncio.Event()
        self._last_error: SaetuiError | None = None

    async def updates(self) -> AsyncIterator[Snapshot | Event | Unreachable]:
        """A snapshot, then changes; `Unreachable` when the supervisor is gone, then a new snapshot. Until `close`."""
        failures = 0
        while not self._closed.is_set():
            try:
                async with await self._connect() as client:
                    self._client = client
                    self._connected.set()
                    async for message in client.news():
                        failures = 0
                        yield message
            except SaetuiError as error:
                self._forget(error)
                if self._closed.is_set():
                    return
                yield Unreachable(error)
                await self._pause(DELAYS[min(failures, len(DELAYS) - 1)])
                failures += 1
            finally:
                self._forget(None)

    async def request(self, request: BaseRequest[R], timeout: float = ANSWER_SECONDS) -> R:
        """The answer to a request; waits for a connection where there is none at the moment.

        Raises:
            SaetuiError: the supervisor refused it; the class is the one that the answer names.
            SupervisorError: the connection was lost, or none was made within 10 seconds.
        """
        try:
            await asyncio.wait_for(self._connected.wait(), WAIT_SECONDS)
        except asyncio.TimeoutError:
            raise self._last_error or SupervisorError("The supervisor cannot be reached.", "Try again.") from None
        client = self._client
        if client is None:
            raise SupervisorError("The connection to the supervisor was lost.", "Trainings go on; try again.")
        return await client.request(request, timeout)

    async def close(self) -> None:
        """End `updates` and the connection."""
        self._closed.set()
        if self._client is not None:
            await self._client.close()

    async def _connect(self) -> AsyncioClient:
        try:
            return await AsyncioClient.connect(self._home, name=self._name)
        except NotRunning:
            await asyncio.to_thread(ensure_supervisor, self._home)
            return await AsyncioClient.connect(self._home, name=self._name)

    def _forget(self, error: SaetuiError | None) -> None:
        self._client = None
        self._connected.clear()
        self._last_error = error or self._last_error

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except asyncio.TimeoutError:
            return
