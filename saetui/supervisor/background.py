"""Work that goes on beside the requests. It may fail and is begun again; the service lives on without it meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds between a failure and the next try; doubled with each failure in a row."""

CALM_SECONDS = 60.0
"""Work that went well for so long has recovered: the next failure is its first."""

Work = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


class Background:
    """The only way to start a task in the supervisor that nobody waits for."""

    def __init__(self, first_pause: float = FIRST_PAUSE) -> None:
        self._first_pause = first_pause
        self._tasks: set[asyncio.Task[None]] = set()
        self._troubles: dict[str, str] = {}

    @property
    def troubles(self) -> tuple[str, ...]:
        """What has failed and waits to be tried again, in words."""
        return tuple(f"{name} failed: {reason}" for name, reason in self._troubles.items())

    def repeat(self, name: str, work: Work) -> None:
        """Do something that never ends by itself; when it fails or returns, log that, wait, and begin again."""
        self._start(self._repeat(name, work))

    def once(self, name: str, work: Awaitable[None]) -> None:
        """Do something that ends; when it fails, log that."""
        self._start(self._once(name, work))

    def close(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        # The loop itself keeps no strong reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _repeat(self, name: str, work: Work) -> None:
        loop = asyncio.get_running_loop()
        pause = self._first_pause
        while True:
            begun = loop.time()
            recovered = loop.call_later(CALM_SECONDS, self._troubles.pop, name, None)
            try:
                await work()
                reason = "it ended"
                log.error("%s ended; it is begun again in %g s", name, pause)
            except Exception as error:
                reason = str(error) or type(error).__name__
                self._report(name, reason, pause)
            finally:
                recovered.cancel()
            self._troubles[name] = reason
            if loop.time() - begun > CALM_SECONDS:
                pause = self._first_pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _once(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            log.exception("%s failed", name)

    def _report(self, name: str, reason: str, pause: float) -> None:
        """The traceback of a failure is logged the first time; the same failure again is one line."""
        known = self._troubles.get(name) == reason
        log.error("%s failed (%s); it is tried again in %g s", name, reason, pause, exc_info=not known)
