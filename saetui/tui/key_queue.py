"""Keys are handed on one at a time, each only after everything that the key before it caused is done.

A slow line delivers many keys in one packet. Textual hands them all on at once, while `focus()` and a new screen take effect
later, so that the letters of a search would run as commands of the list.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

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
        self._dialogs: list[Screen[Any]] = []
        self._given_up: WeakSet[Worker[Any]] = WeakSet()

    @property
    def at_rest(self) -> bool:
        """Whether every key was handed on, and all that they caused is done."""
        return not self._working

    @contextmanager
    def asking(self, dialog: Screen[Any]) -> Iterator[None]:
        """While a worker waits for the answer to a dialog. It is the user's turn then, and the keys are for the dialog."""
        self._dialogs.append(dialog)
        try:
            yield
        finally:
            self._dialogs.remove(dialog)

    def put(self, event: Event) -> None:
        """Hand a key on, now or in its turn."""
        self._waiting.append(event)
        if not self._working:
            self._working = True
            self._app.run_worker(self._work(), group=_GROUP)

    async def _work(self) -> None:
        try:
            await self._settled()  # a key may come while the first screen is built
            while self._waiting:
                self._hand_on(self._waiting.popleft())
                if await self._settled():
                    continue
                self._given_up.update(self._at_work())
                if self._waiting:
                    self._left_out(len(self._waiting))
                    self._waiting.clear()
        finally:
            self._working = False

    async def _settled(self) -> bool:
        """Wait until nothing is left to do. Returns False where that takes too long."""
        deadline = time.monotonic() + WAIT_SECONDS
        rounds = 0
        while self._app.is_running:
            await asyncio.sleep(0 if rounds < _EAGER_ROUNDS else _PAUSE_SECONDS)
            rounds += 1
            if not any(map(is_busy, self._pumps())) and len(self._at_work()) <= self._asked():
                return True
            if time.monotonic() > deadline:
                return False
        return True

    def _at_work(self) -> list[Worker[Any]]:
        """The workers that keys have begun and that a key waits for."""
        return [
            worker
            for worker in self._app.workers
            if worker.group not in BACKGROUND and not worker.is_finished and worker not in self._given_up
        ]

    def _asked(self) -> int:
        """How many workers wait for an answer of the user: the screen of one that was given is gone."""
        open_screens = self._app.screen_stack
        return sum(dialog in open_screens for dialog in self._dialogs)

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
