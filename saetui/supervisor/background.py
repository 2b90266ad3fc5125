"""Work beside the requests: tasks that may fail and begin again, and threads for files that may never answer."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
"""Seconds between a failure and the next attempt; doubled with each failure in a row."""

CALM_SECONDS = 60.0
"""Work that went well for so long has recovered: its next failure counts as the first."""

T = TypeVar("T")
Work = Callable[[], Awaitable[None]]
log = logging.getLogger(__name__)


class Background:
    """The only way in the supervisor to start a task that nobody awaits."""

    def __init__(self, first_pause: float = FIRST_PAUSE) -> None:
        self._first_pause = first_pause
        self._tasks: set[asyncio.Task[None]] = set()
        self._troubles: dict[str, str] = {}

    @property
    def troubles(self) -> tuple[str, ...]:
        """For the user: what has failed and is tried again later."""
        return tuple(f"{name} failed: {reason}" for name, reason in self._troubles.items())

    def repeat(self, name: str, work: Work) -> None:
        """Do work that never ends by itself. When it fails or returns, log that, wait, and begin again."""
        self._start(self._repeat(name, work))

    def once(self, name: str, work: Awaitable[None]) -> None:
        """Do work that ends; when it fails, log that."""
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
                log.error("%s ended; it begins again in %g s", name, pause)
            except Exception as error:
                reason = str(error) or type(error).__name__
                # The traceback of the same failure is logged once.
                known = self._troubles.get(name) == reason
                log.error("%s failed (%s); it begins again in %g s", name, reason, pause, exc_info=not known)
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


def in_daemon_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Work in a thread for which nothing waits at the end of the process. Returns the future of its result.

    The process does wait for asyncio's own few threads, and a network disk that is gone keeps its readers for ever.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return asyncio.wrap_future(future)
