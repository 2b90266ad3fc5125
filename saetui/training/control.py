"""What the supervisor and the user ask of this trainer: through signals, and through the job's control file."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from saetui.errors import FormatError
from saetui.rundir.control import Control, read_control
from saetui.rundir.layout import RunDirectory

HOLD_SECONDS = 2.0
"""A paused trainer reads its control file this often, in case a signal was lost."""


class StopRequested(BaseException):
    """Ends work that may be ended at any point: a start, an evaluation, an extraction. Not an error."""


class Requests:
    """SIGTERM and SIGINT ask for a stop; after SIGUSR1 the control file is read again.

    Attributes:
        stop: whether a stop was asked for. The training then finishes its step and saves.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.stop = False
        self._interruptible = False
        self._run = run
        self._control = Control()
        self._changed = True
        self._trouble: str | None = None
        self._sleeper, self._waker = os.pipe()
        for end in (self._sleeper, self._waker):
            os.set_blocking(end, False)

    def install(self) -> None:
        """Take over the three signals. Before torch is loaded: a stop that comes during the start must not kill the trainer."""
        signal.signal(signal.SIGTERM, self._note_stop)
        signal.signal(signal.SIGINT, self._note_stop)
        signal.signal(signal.SIGUSR1, self._note_change)
        # Any signal ends a hold, even one that comes just before the hold begins.
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that a stop ends at once, where nothing would be lost: it does not wait for minutes of reading or evaluating.

        Raises:
            StopRequested: a stop was asked for, before the block or during it.
        """
        self._interruptible = True
        try:
            if self.stop:
                raise StopRequested
            yield
        finally:
            self._interruptible = False

    @property
    def control(self) -> Control:
        """The control file as of the last signal."""
        if self._changed:
            # Before the reading: a change that comes while the file is read is read again.
            self._changed = False
            try:
                self._control = read_control(self._run)
            except FormatError as error:
                self._trouble = str(error)
        return self._control

    def take_trouble(self) -> str | None:
        """What was wrong with the control file since the last call; the requests before that still hold."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def hold(self, seconds: float = HOLD_SECONDS) -> None:
        """Sleep until a signal comes or the time is over; then the control file is read again."""
        ready, _, _ = select.select([self._sleeper], [], [], seconds)
        if ready:
            os.read(self._sleeper, 4096)
        self._changed = True

    def _note_change(self, number: int, frame: FrameType | None) -> None:
        self._changed = True

    def _note_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = True
        if self._interruptible:
            # Off first: the second signal of an impatient user must not strike while the first is dealt with.
            self._interruptible = False
            raise StopRequested
