"""Waiting for files that may never answer, in a thread that keeps nobody from leaving."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def in_daemon_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Do something beside the event loop; what it returns or raises.

    Not one of asyncio's own few threads, for which the process waits when it leaves: a disk of the network that is gone
    keeps its readers for ever.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            done = work()
        except Exception as error:
            _tell(loop, answer, partial(answer.set_exception, error))
        else:
            _tell(loop, answer, partial(answer.set_result, done))

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer


def _tell(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], tell: Callable[[], None]) -> None:
    # The loop is closed when the process leaves meanwhile: nobody waits any more.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: None if answer.done() else tell())
