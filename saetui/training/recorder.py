"""What a training writes down: events, metrics, hints to the supervisor. All of them outlast a full disk.

What cannot be written now is kept in memory, up to a limit, and written later.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from saetui.formats.times import now
from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter
from saetui.training.notifier import Notifier

TRAINING_COLUMNS = (
    "loss", "recon_loss", "sparsity_loss", "aux_loss", "l0", "l0_fraction", "fvu", "r2", "l1", "dead", "dead_fraction",
    "learning_rate", "sparsity_coefficient", "grad_norm", "sink_fraction",
)  # fmt: skip
DENSITY_BINS = tuple(f"density_{exponent}" for exponent in range(-7, 0))
"""The histogram of latent densities: the share of latents that fire on 10^e to 10^(e+1) of the tokens. The lowest bin also
holds latents that fire less often; those that never fire are `never_fired`."""
# fvu is of ordinary tokens, fvu_all of all of them; sink_fraction is the share of the others.
EVALUATION_COLUMNS = (
    "fvu", "r2", "l0", "dead", "dead_fraction", "tokens", "ce_clean", "ce_sae", "ce_zero", "ce_recovered", "never_fired",
    *DENSITY_BINS, "fvu_all", "sink_fraction",
)  # fmt: skip
JOB_COLUMNS = ("tokens_per_second", "tokens", "memory_bytes", "seconds", "num_steps", "epoch")
JOB = "job"
EVENTS_KEPT = 1_000
ROWS_KEPT = 100_000
"""About 50 MiB: days of metrics. Beyond that the oldest are dropped."""
RESERVE_BYTES = 64 * 1024
RESERVE = ".reserve"


class Reserve:
    """A file that keeps some space for the job's last events: even on a full disk its end and the reason can be written."""

    def __init__(self, run: RunDirectory) -> None:
        self._path = run.path / RESERVE
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
        except OSError:
            # The disk is full already. There is nothing to keep, and whatever is written next reports it.
            self.release()

    def release(self) -> None:
        """Give the space back."""
        self._path.unlink(missing_ok=True)


class BufferedEvents(EventLog):
    """An event log whose `append` does not fail when the disk does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._waiting: deque[tuple[str, str, int | None, dict[str, Any]]] = deque(maxlen=EVENTS_KEPT)

    @property
    def waiting(self) -> int:
        """Events that are not on the disk yet."""
        return len(self._waiting)

    def append(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Write one event after those that wait; or let it wait too."""
        if not (self.write_waiting() and self._written(kind, message, step, data)):
            # The log will show when the event was written; this is when it happened.
            self._waiting.append((kind, message, step, {**(data or {}), "happened_at": now("seconds")}))

    def write_waiting(self) -> bool:
        """Try again; whether nothing waits any more."""
        while self._waiting and self._written(*self._waiting[0]):
            self._waiting.popleft()
        return not self._waiting

    def _written(self, kind: str, message: str, step: int | None, data: dict[str, Any] | None) -> bool:
        try:
            super().append(kind, message, step=step, data=data)
        except OSError:
            return False
        return True


class Recorder:
    """The only writer of a job's metrics and, once a training is set up, of its events.

    Attributes:
        trouble: why the disk refused a row that waits; None when none waits.
    """

    def __init__(
        self, run: RunDirectory, sites: Sequence[str], notifier: Notifier, events: BufferedEvents, keep_through: int
    ) -> None:
        """`keep_through`: the last step whose rows stay; those of later steps were written before a resume and are cut off."""
        run.metrics.mkdir(mode=0o700, exist_ok=True)
        self.trouble: OSError | None = None
        self._events = events
        self._notifier = notifier
        self._training = MetricWriter(run.training_metrics, sites, TRAINING_COLUMNS, keep_through=keep_through)
        self._evaluation = MetricWriter(run.evaluation_metrics, sites, EVALUATION_COLUMNS, keep_through=keep_through)
        self._job = MetricWriter(run.job_metrics, (JOB,), JOB_COLUMNS, keep_through=keep_through)
        self._logs = (self._training, self._evaluation, self._job)
        self._process = psutil.Process()
        self._began = time.monotonic()
        # One row each: of several in one call the first may be written and the second refused, and none must be there twice.
        self._rows: deque[Callable[[], None]] = deque(maxlen=ROWS_KEPT)
        self._refusal: str | None = None

    @property
    def damaged(self) -> int:
        """Rows of earlier processes that can no longer be read."""
        return sum(log.damaged for log in self._logs)

    def event(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Append an event and notify the supervisor."""
        self._events.append(kind, message, step=step, data=data)
        self._notifier.notify()

    def training(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for the interval that ended with `step`."""
        self._append(step, [partial(self._training.append, step, site, values) for site, values in rows.items()])

    def evaluation(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for held-out text after `step`."""
        self._append(step, [partial(self._evaluation.append, step, site, values) for site, values in rows.items()])

    def job(self, step: int, values: Mapping[str, float]) -> None:
        """One row for the job; memory is added here, and time where the values have none."""
        present = {"memory_bytes": float(self._process.memory_info().rss), "seconds": time.monotonic() - self._began}
        self._append(step, [partial(self._job.append, step, JOB, {**present, **values})])

    def sync(self) -> None:
        """Make every row durable, those that waited first: a checkpoint promises the rows up to its step.

        Raises:
            OSError: the disk refuses.
        """
        self.write_waiting()
        if self.trouble is not None:
            raise self.trouble
        for log in self._logs:
            log.sync()

    def write_waiting(self) -> None:
        """Try to write the rows that wait; `trouble` says what prevents it."""
        while self._rows:
            try:
                self._rows[0]()
            except OSError as error:
                self.trouble = error
                return
            self._rows.popleft()
        self.trouble = None

    def refused(self, error: OSError, step: int) -> None:
        """The disk refused something; report it once. The training goes on."""
        if self._refusal is None:
            self._refusal = f"{error.strerror or error}"
            self.event(
                "degraded",
                f"{self._refusal}: the training goes on without saving, and tries again",
                step=step,
                data={"step": step, "reason": self._refusal},
            )

    def recovered(self, step: int) -> None:
        """Nothing else waits for the disk: once all rows and events are written too, report that all is well again."""
        if self._refusal is not None and self.trouble is None and self._events.write_waiting():
            self._refusal = None
            self.event("recovered", "Saving works again", step=step, data={"step": step})

    def close(self) -> None:
        for log in self._logs:
            log.sync()
            log.close()

    def _append(self, step: int, rows: list[Callable[[], None]]) -> None:
        self._rows.extend(rows)
        self.write_waiting()
        self._notifier.notify()
        if self.trouble is not None:
            self.refused(self.trouble, step)
