"""The wish to stop: SIGTERM or Ctrl-C, noticed between steps, and at once where nothing would be lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopNoticed(BaseException):
    """Ends what may be ended at any point: a start, an evaluation, an extraction. Not an error."""


class StopWish:
    """Becomes true at the first SIGTERM or SIGINT; the training finishes its step and saves.

    Installed before torch is loaded: a stop that comes while the trainer starts must not kill it.
    """

    def __init__(self) -> None:
        self._wished = False
        self._interrupts = False

    def install(self) -> None:
        """Take over the two signals."""
        signal.signal(signal.SIGTERM, self._wish)
        signal.signal(signal.SIGINT, self._wish)

    def __bool__(self) -> bool:
        return self._wished

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """A block that may be ended anywhere: a stop does not wait for minutes of reading or evaluating.

        Raises:
            StopNoticed: a stop is wished already, or comes while the block runs.
        """
        self._interrupts = True
        try:
            if self._wished:
                raise StopNoticed
            yield
        finally:
            self._interrupts = False

    def _wish(self, number: int, frame: FrameType | None) -> None:
        self._wished = True
        if self._interrupts:
            # Off first: the second signal of an impatient user must not strike while the first is dealt with.
            self._interrupts = False
            raise StopNoticed
