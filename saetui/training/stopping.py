"""The wish to stop: SIGTERM or Ctrl-C, noticed between steps."""

from __future__ import annotations

import signal
from types import FrameType


class StopWish:
    """Becomes true at the first SIGTERM or SIGINT; the training finishes its step and saves.

    Installed before torch is loaded: a stop that comes while the trainer starts must not kill it.
    """

    def __init__(self) -> None:
        self._wished = False

    def install(self) -> None:
        """Take over the two signals."""
        signal.signal(signal.SIGTERM, self._wish)
        signal.signal(signal.SIGINT, self._wish)

    def __bool__(self) -> bool:
        return self._wished

    def _wish(self, number: int, frame: FrameType | None) -> None:
        self._wished = True
