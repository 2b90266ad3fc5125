"""Reports of long work: a sentence whenever another few per cent are done."""

from __future__ import annotations

import time
from collections.abc import Callable

from saetui.activations import TokenProgress
from saetui.display.figures import percent


class Progress:
    """Called with the share of the work that is done, 0 to 1; reports it in steps of at least `step`."""

    def __init__(self, work: str, report: Callable[[str], None], step: float = 0.25, seconds: float = 0.0) -> None:
        """
        Args:
            work: what is being done, which the sentence begins with.
            seconds: how long it is silent after it began, and after each sentence.
        """
        self._work, self._report, self._step = work, report, step
        self._seconds, self._spoke = seconds, time.monotonic()
        self._reported = 0.0

    def __call__(self, share: float) -> None:
        if share - self._reported >= self._step and time.monotonic() - self._spoke >= self._seconds:
            self._reported, self._spoke = share, time.monotonic()
            self._report(f"{self._work}: {percent(share)}")


def tokenising(source: str, report: Callable[[str], None], step: float = 0.25) -> Callable[[TokenProgress], None]:
    """What `prepare_tokens` takes as its `progress`."""
    progress = Progress(f"Tokenising {source}", report, step)

    def update(now: TokenProgress) -> None:
        if now.stage == "tokenising" and now.total:
            progress(now.done / now.total)

    return update
