"""Keys are handed on one at a time, each only after everything that the key before it caused is done.

A slow line delivers many keys in one packet. Textual hands them all on at once, while `focus()` and a new screen take effect
later, so that the letters of a search would run as commands of the list.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from textual.app import App
from textual.events import Event
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.worker import Worker

_GROUP = "keys"
BACKGROUND = (_GROUP, "supervisor", "preferences", "history", "files", "spec", "names", "check")
"""Groups of workers that go on by themselves: no key waits for them."""

WAIT_SECONDS = 5.0
"""A key that takes longer (a supervisor hangs) no longer holds up the keyboard; what was typed meanwhile is left out."""

_EAGER_ROUNDS = 200
_PAUSE_SECONDS = 0.002


class KeyQueue:
    """The keys and pastes that wait for what an earlier one caused."""

    def __init__(self, app: App[Any], hand_on: Callable[[Event], object], left_out: Callable[[int], object]) -> None:
        """
        Args:
            app: whose widgets are waited for.
            hand_on: delivers one key or paste.
            left_out: is told how many keys were left out because an earlier one took too long.
        """
        self._app = app
        self._hand_on = hand_on
        self._left_out = left_out
        self._waiting: deque[Event] = deque()
        self._working = False

    def put(self, event: Event) -> None:
        """Hand a key on, now or in its turn."""
        self._waiting.append(event)
        if not self._working:
            self._working = True
            self._app.run_worker(self._work(), group=_GROUP)

    async def _work(self) -> None:
        try:
            while self._waiting:
                known = set(self._app.workers)
                self._hand_on(self._waiting.popleft())
                if not await self._settled(known) and self._waiting:
                    self._left_out(len(self._waiting))
                    self._waiting.clear()
        finally:
            self._working = False

    async def _settled(self, known: set[Worker[Any]]) -> bool:
        """Wait until nothing is left to do. Returns False where that takes too long.

        `known`: workers that ran before the key.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        screens = len(self._app.screen_stack)
        rounds = 0
        while self._app.is_running:
            await asyncio.sleep(0 if rounds < _EAGER_ROUNDS else _PAUSE_SECONDS)
            rounds += 1
            if not any(map(is_busy, self._pumps())):
                opened = len(self._app.screen_stack) > screens
                if opened or not any(_is_awaited(worker) for worker in set(self._app.workers) - known):
                    return True
            if time.monotonic() > deadline:
                return False
        return True

    def _pumps(self) -> Iterator[MessagePump]:
        yield self._app
        for screen in self._app.screen_stack:
            yield from screen.walk_children(with_self=True)


def is_busy(pump: MessagePump) -> bool:
    """Whether a widget, screen or app handles a message or has one to handle."""
    if not pump.is_running:
        return pump.is_attached and not pump._closed
    queue: Any = pump._message_queue
    # An `asyncio.Event` does not tell who waits for it. Textual has no other sign of a widget that is between two messages.
    waits = any(not waiter.done() for waiter in queue.ready_event._waiters)
    return not waits or not queue.empty() or bool(pump._next_callbacks) or _has_callbacks(pump)


def _has_callbacks(pump: MessagePump) -> bool:
    """Whether something is to be done after the next refresh. A covered screen is not refreshed: its callbacks wait."""
    return isinstance(pump, Screen) and pump.app.screen is pump and bool(pump._callbacks)


def _is_awaited(worker: Worker[Any]) -> bool:
    return worker.group not in BACKGROUND and not worker.is_finished
