"""What is wished of this trainer, as its signals and its control file say."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType

from saetui.errors import FormatError
from saetui.rundir.control import Control, DesiredState, read_control
from saetui.rundir.layout import RunDirectory
from saetui.rundir.retention import Retention
from saetui.training.stopping import StopWish

HOLD_SECONDS = 2.0
"""How long a held trainer sleeps between two looks at its control file, should a signal have been lost."""


class Wishes(StopWish):
    """To stop (SIGTERM), or whatever the control file says, which is read again after each SIGUSR1."""

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self._run = run
        self._control = Control()
        self._news = True
        self._trouble: str | None = None
        self._sleeper, self._waker = os.pipe()
        for end in (self._sleeper, self._waker):
            os.set_blocking(end, False)

    def install(self) -> None:
        """Take over the three signals, before anything that takes time."""
        super().install()
        signal.signal(signal.SIGUSR1, self._note_news)
        # Any signal ends a hold, also one that comes just before it begins.
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)

    @property
    def desired_state(self) -> DesiredState:
        """As of the last signal."""
        self._read_news()
        return self._control.desired_state

    @property
    def checkpoints(self) -> int:
        """How many checkpoints were asked for in all."""
        self._read_news()
        return self._control.checkpoints

    @property
    def retention(self) -> Retention | None:
        """The rules that replace those of the spec."""
        self._read_news()
        return self._control.retention

    def take_trouble(self) -> str | None:
        """What was wrong with the control file since the last call; the wishes before it still hold."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def hold(self, seconds: float = HOLD_SECONDS) -> None:
        """Sleep until a signal comes or the time is over, then look at the control file."""
        ready, _, _ = select.select([self._sleeper], [], [], seconds)
        if ready:
            os.read(self._sleeper, 4096)
        self._news = True

    def _read_news(self) -> None:
        if not self._news:
            return
        # Before the reading: a change that comes while it is read is read again.
        self._news = False
        try:
            self._control = read_control(self._run)
        except FormatError as error:
            self._trouble = str(error)

    def _note_news(self, number: int, frame: FrameType | None) -> None:
        self._news = True
