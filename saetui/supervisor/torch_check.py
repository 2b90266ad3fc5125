"""Whether trainers can start here: nothing is queued that can only fail because torch is missing, unfit or broken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from saetui.errors import TorchError
from saetui.home import Home
from saetui.launch.local import TRAINER
from saetui.protocol.messages import CannotTrain
from saetui.torch_import import require_torch

GOOD_SECONDS = 60.0
"""How long a good check counts for those who only watch; packages change rarely."""
BAD_SECONDS = 10.0
"""How long a bad one does: the user is repairing it."""


class TorchCheck:
    """Checks torch in threads. A trainer other than our own need not load torch: then nothing is checked."""

    def __init__(self, home: Home, trainer: Sequence[str], require: Callable[[Home], None] = require_torch) -> None:
        self._home = home
        self._applies = tuple(trainer) == TRAINER
        self._require = require
        # One import at a time: several would only make each other slow.
        self._lock = threading.Lock()

    async def require(self) -> None:
        """Check that a trainer can load torch. Takes seconds where that was never tried.

        Raises:
            TorchError: it cannot, and what to type.
        """
        if self._applies:
            await asyncio.to_thread(self._check)

    async def watch(self, tell: Callable[[CannotTrain | None], None]) -> None:
        """Check once, tell the result, and wait until it is worth while to check again."""
        found = None
        try:
            await self.require()
        except TorchError as error:
            found = CannotTrain(message=error.message, suggestion=error.suggestion)
        tell(found)
        await asyncio.sleep(GOOD_SECONDS if found is None else BAD_SECONDS)

    def _check(self) -> None:
        with self._lock:
            self._require(self._home)
