"""Metric rows and events that outlast a full disk: what cannot be written now is kept, bounded, and written later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from saetui.rundir.events import EventLog
from saetui.training.recorder import Recorder

EVENTS_KEPT = 1_000
ROWS_KEPT = 100_000
"""Some 50 MB: days of metrics. Beyond it the oldest go."""


class _Event(NamedTuple):
    kind: str
    message: str
    step: int | None
    data: dict[str, Any]


class PatientEvents(EventLog):
    """An event log whose `append` never fails for the disk's sake."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._waiting: deque[_Event] = deque(maxlen=EVENTS_KEPT)

    @property
    def waiting(self) -> int:
        """Events that are not on the disk yet."""
        return len(self._waiting)

    def append(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Write one event, after those that wait; or let it wait too."""
        event = _Event(kind, message, step, data or {})
        if not (self.write_waiting() and self._written(event)):
            # Its line will carry the time at which it is written at last.
            now = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
            self._waiting.append(event._replace(data={**event.data, "happened_at": now}))

    def write_waiting(self) -> bool:
        """Try again; whether nothing waits any more."""
        while self._waiting and self._written(self._waiting[0]):
            self._waiting.popleft()
        return not self._waiting

    def _written(self, event: _Event) -> bool:
        try:
            super().append(event.kind, event.message, step=event.step, data=event.data)
        except OSError:
            return False
        return True


class Ledger:
    """Writes a training's rows through the recorder, in their order, and tells once when the disk refuses and once when
    it no longer does."""

    def __init__(self, recorder: Recorder, events: PatientEvents) -> None:
        self._recorder = recorder
        self._events = events
        self._rows: deque[Callable[[], None]] = deque(maxlen=ROWS_KEPT)
        self._said: str | None = None
        self.trouble: OSError | None = None

    @property
    def waiting(self) -> int:
        """Rows that are not in their logs yet."""
        return len(self._rows)

    def event(self, kind: str, message: str, *, step: int, data: dict[str, Any] | None = None) -> None:
        """Append an event."""
        self._recorder.event(kind, message, step=step, data=data)

    def training(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for the interval that ended with `step`."""
        # A row at a time: of several the first may be written and the second refused, and none must be there twice.
        self._take(step, [partial(self._recorder.training, step, {site: values}) for site, values in rows.items()])

    def evaluation(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for held-out text after `step`."""
        self._take(step, [partial(self._recorder.evaluation, step, {site: values}) for site, values in rows.items()])

    def job(self, step: int, values: Mapping[str, float]) -> None:
        """One row for the job."""
        self._take(step, [partial(self._recorder.job, step, values)])

    def sync(self) -> None:
        """Make every row durable, those that waited first.

        Raises:
            OSError: the disk refuses.
        """
        self.write_waiting()
        if self.trouble is not None:
            raise self.trouble
        self._recorder.sync()

    def write_waiting(self) -> None:
        """Try to write what waits; `trouble` says what is in the way."""
        while self._rows:
            try:
                self._rows[0]()
            except OSError as error:
                self.trouble = error
                return
            self._rows.popleft()
        self.trouble = None

    def refused(self, error: OSError, step: int) -> None:
        """The disk refused something; the training goes on."""
        if self._said is None:
            self._said = f"{error.strerror or error}"
            self.event(
                "degraded",
                f"{self._said}: the training goes on without saving, and tries again",
                step=step,
                data={"step": step, "reason": self._said},
            )

    def recovered(self, step: int) -> None:
        """Nothing else is owed to the disk: when it has taken what waits here too, say that all is well."""
        if self._said is not None and self.trouble is None and self._events.write_waiting():
            self._said = None
            self.event("recovered", "The disk takes everything again", step=step, data={"step": step})

    def _take(self, step: int, rows: list[Callable[[], None]]) -> None:
        self._rows.extend(rows)
        self.write_waiting()
        if self.trouble is not None:
            self.refused(self.trouble, step)
