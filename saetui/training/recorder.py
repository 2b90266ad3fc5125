"""What a training writes down while it goes on: events, metrics, hints to the supervisor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from saetui.rundir.events import EventLog
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricWriter
from saetui.training.notifier import Line

TRAINING_COLUMNS = (
    "loss", "recon_loss", "sparsity_loss", "aux_loss", "l0", "l0_fraction", "fvu", "r2", "l1", "dead", "dead_fraction",
    "learning_rate", "sparsity_coefficient", "grad_norm", "sink_fraction",
)  # fmt: skip
DENSITY_BINS = tuple(f"density_{exponent}" for exponent in range(-7, 0))
"""The histogram of latent densities: the share of latents that fire on 10^e to 10^(e+1) of the tokens; the lowest bin
also holds what fires less, and those that never fire are `never_fired`."""
# fvu is of ordinary tokens, fvu_all of all of them; sink_fraction is the share of the others.
EVALUATION_COLUMNS = (
    "fvu", "r2", "l0", "dead", "dead_fraction", "tokens", "ce_clean", "ce_sae", "ce_zero", "ce_recovered", "never_fired",
    *DENSITY_BINS, "fvu_all", "sink_fraction",
)  # fmt: skip
JOB_COLUMNS = ("tokens_per_second", "tokens", "memory_bytes", "seconds", "num_steps", "epoch")
JOB = "job"


class Recorder:
    """The one place that writes a job's events and metrics."""

    def __init__(
        self, run: RunDirectory, sites: Sequence[str], line: Line, events: EventLog, keep_through: int
    ) -> None:
        run.metrics.mkdir(mode=0o700, exist_ok=True)
        self.events = events
        self._line = line
        self._training = MetricWriter(run.training_metrics, sites, TRAINING_COLUMNS, keep_through=keep_through)
        self._evaluation = MetricWriter(run.evaluation_metrics, sites, EVALUATION_COLUMNS, keep_through=keep_through)
        self._job = MetricWriter(run.job_metrics, (JOB,), JOB_COLUMNS, keep_through=keep_through)
        self._process = psutil.Process()
        self._began = time.monotonic()

    @property
    def damaged(self) -> int:
        """Rows of earlier processes that can no longer be read."""
        return self._training.damaged + self._evaluation.damaged + self._job.damaged

    def event(self, kind: str, message: str, *, step: int | None = None, data: dict[str, Any] | None = None) -> None:
        """Append an event and say that there is news."""
        self.events.append(kind, message, step=step, data=data)
        self._line.look()

    def training(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for the interval that ended with `step`."""
        for site, values in rows.items():
            self._training.append(step, site, values)

    def evaluation(self, step: int, rows: Mapping[str, Mapping[str, float]]) -> None:
        """One row a site for held-out text after `step`."""
        for site, values in rows.items():
            self._evaluation.append(step, site, values)
        self._line.look()

    def job(self, step: int, values: Mapping[str, float]) -> None:
        """One row for the job; memory is added here, and time where the values have none."""
        now = {"memory_bytes": float(self._process.memory_info().rss), "seconds": time.monotonic() - self._began}
        self._job.append(step, JOB, {**now, **values})
        self._line.look()

    def sync(self) -> None:
        """Make every row durable: what a checkpoint resumes from must be there with it."""
        for log in (self._training, self._evaluation, self._job):
            log.sync()

    def close(self) -> None:
        for log in (self._training, self._evaluation, self._job):
            log.sync()
            log.close()
