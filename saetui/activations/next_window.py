"""The next window of a shuffling buffer, filled in the background."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch
from torch import Tensor

__all__ = ["NextWindow"]


class NextWindow:
    """The window that is filled in the background, and the thread that does it, one window at a time."""

    def __init__(self, window: dict[str, Tensor], device: torch.device) -> None:
        self.window = window
        self._pool = ThreadPoolExecutor(1, "buffer")
        self._filling: Future[tuple[int, torch.cuda.Event | None]] | None = None
        cuda = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if cuda else None  # type: ignore[no-untyped-call]  # torch's own

    @property
    def is_begun(self) -> bool:
        return self._filling is not None

    def begin(self, fill: Callable[[], int]) -> None:
        """Starts to fill; on a GPU beside the work of the caller, after what the caller has asked for so far."""
        if self._stream is None:
            self._filling = self._pool.submit(lambda: (fill(), None))
            return
        side, before = self._stream, torch.cuda.current_stream().record_event()

        def work() -> tuple[int, torch.cuda.Event | None]:
            with torch.cuda.stream(side):
                side.wait_event(before)
                rows = fill()
                return rows, side.record_event()

        self._filling = self._pool.submit(work)

    def finish(self) -> int:
        """Waits until the window is full; its rows.

        Raises:
            SaetuiError: what the reading of activations raises.
        """
        assert self._filling is not None
        # Kept while it is waited for: a signal may end the waiting, and the thread is still at it then.
        rows, done = self._filling.result()
        self._filling = None
        if done is not None:
            torch.cuda.current_stream().wait_event(done)
        return rows

    def forget(self) -> None:
        """Lets the thread finish what nobody wants any more."""
        if self._filling is not None:
            wait([self._filling])
            self._filling = None
            if self._stream is not None:
                torch.cuda.current_stream().wait_stream(self._stream)
