"""A source of news that says what it is told: to draw screens in states that are hard to reach, always the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from saetui.client.link import Unreachable
from saetui.errors import SupervisorError
from saetui.jobs.job import Job
from saetui.jobs.preferences import Preferences
from saetui.jobs.templates import Template
from saetui.protocol.messages import BaseRequest, Change, DeviceReading, Event, R, Snapshot

DEVICE = DeviceReading(
    name="NVIDIA Orin Nano",
    kind="jetson",
    load=0.87,
    memory_used=5_100_000_000,
    memory_total=8_000_000_000,
    temperature=61.0,
    power=None,
    missing={"power": "no sensor"},
)


class FixedSource:
    """Yields a snapshot and then whatever is put in; refuses every request."""

    def __init__(
        self, jobs: Sequence[Job] = (), templates: Sequence[Template] = (), device: DeviceReading | None = DEVICE
    ) -> None:
        self.news: asyncio.Queue[Snapshot | Event | Unreachable] = asyncio.Queue()
        self._seq = 0
        snapshot = Snapshot(
            seq=0, jobs=tuple(jobs), templates=tuple(templates), device=device, preferences=Preferences()
        )
        self.news.put_nowait(snapshot)

    def tell(self, change: Change) -> None:
        self._seq += 1
        self.news.put_nowait(Event(self._seq, change))

    async def updates(self) -> AsyncIterator[Snapshot | Event | Unreachable]:
        while True:
            yield await self.news.get()

    async def request(self, request: BaseRequest[R], timeout: float = 60.0) -> R:
        raise SupervisorError("This source takes no requests.")

    async def close(self) -> None:
        return None
