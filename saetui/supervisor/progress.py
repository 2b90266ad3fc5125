"""How far a running job is, read from its directory: steps, speed, time left, and the latest value of each metric."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from saetui.errors import FormatError
from saetui.jobs.job import Job
from saetui.rundir.events import EventReader, LoggedEvent
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import EVALUATION_PREFIX, NewestRows

MOST_BEFORE_THE_END = 0.999
"""How far a job can be that still evaluates or saves after its last step."""

WINDOW_SECONDS = 30.0
"""Training time over which the speed is measured: long enough to be steady, short enough to follow a change."""

log = logging.getLogger(__name__)


_ENDS_PHASE = frozenset(
    {"started", "evaluation", "checkpoint", "out_of_memory", "degraded", "paused", "resumed", "ended"}
)
"""The events after which a phase is over."""


class _Mark(NamedTuple):
    """Where the training was: steps and tokens done, and training time in seconds."""

    step: int
    tokens: float
    seconds: float


class Progress:
    """Follows one job's logs; each `read` costs four `stat` calls when nothing is new."""

    def __init__(self, run: RunDirectory, events_from: int = 0) -> None:
        """`events_from`: where in the event log the present attempt begins, in bytes."""
        self._training = NewestRows(run.training_metrics)
        self._evaluation = NewestRows(run.evaluation_metrics)
        self._job = NewestRows(run.job_metrics)
        self._events = EventReader(run.events, events_from)
        self._marks: deque[_Mark] = deque(maxlen=10_000)
        self._num_steps: int | None = None
        self._first_step = 0
        self._degraded: str | None = None
        self._phase: str | None = None
        self._phase_step: int | None = None
        self.started = False
        self.paused = False
        self.ended: LoggedEvent | None = None

    def read(self, job: Job) -> Job:
        """The job with the newest figures."""
        begun = self.started
        self._take_events()
        job = msgspec.structs.replace(job, degraded=self._degraded, phase=self._phase)
        if not self.started and self.ended is None:
            # These rows are of an earlier attempt, and those past its checkpoint are still to be cut.
            return job
        new_rows = sum([self._poll(reader) for reader in (self._training, self._evaluation, self._job)])
        if new_rows == 0 and self.ended is None and begun:
            return msgspec.structs.replace(job, num_steps=self._num_steps or job.num_steps)
        step = self._step(job)
        if self._phase_step is not None and step > self._phase_step:
            self._phase = self._phase_step = None  # it trains on: a request has ended that work early
        tokens_per_second, steps_per_second = self._speed()
        num_steps = self._num_steps or job.num_steps
        left = None if num_steps is None else max(0, num_steps - step)
        return msgspec.structs.replace(
            job,
            phase=self._phase,
            step=step,
            num_steps=num_steps,
            progress=self._share(step, num_steps),
            tokens_per_second=tokens_per_second or job.tokens_per_second,
            eta_seconds=_time_left(left, steps_per_second, job.eta_seconds),
            metrics=self._metrics() or job.metrics,
        )

    def _poll(self, reader: NewestRows) -> int:
        try:
            return reader.poll()
        except (FormatError, OSError) as error:
            # The training does not depend on its figures being read.
            log.warning("%s", error)
            return 0

    def _new_events(self) -> list[LoggedEvent]:
        try:
            return self._events.poll()
        except FormatError as error:
            # Something else is where the log was: the end of the job is judged by its other traces.
            log.warning("%s", error)
            return []

    def _take_events(self) -> None:
        for event in self._new_events():
            if event.kind == "phase":
                self._phase, self._phase_step = event.message, event.step
            elif event.kind in _ENDS_PHASE:
                self._phase = None
            if event.kind == "started":
                self.started, self.paused, self.ended = True, False, None
                self._first_step = event.step or 0
                num_steps = event.data.get("num_steps")
                self._num_steps = num_steps if isinstance(num_steps, int) else self._num_steps
            elif event.kind == "paused":
                self.paused = True
            elif event.kind == "resumed":
                self.paused = False
                # A pause is no training time.
                self._marks.clear()
            elif event.kind == "degraded":
                self._degraded = event.message
            elif event.kind == "recovered":
                self._degraded = None
            elif event.kind == "ended":
                self.ended, self._degraded = event, None

    def _share(self, step: int, num_steps: int | None) -> float:
        """Finished steps over all steps. It is 1 only once the job has said that it is complete."""
        if not num_steps:
            return 0.0
        complete = self.ended is not None and self.ended.data.get("outcome") == "completed"
        return min(1.0 if complete else MOST_BEFORE_THE_END, step / num_steps)

    def _step(self, job: Job) -> int:
        found = [reader.latest(site) for reader in (self._training, self._job) for site in reader.sites]
        steps = [row[0] for row in found if row is not None]
        if self.ended is not None and self.ended.step is not None:
            steps.append(self.ended.step)
        return max(steps, default=self._first_step)

    def _speed(self) -> tuple[float | None, float | None]:
        """Tokens and steps per second over the window; the trainer's own figure where the window is empty."""
        row = self._job.latest("job")
        if row is None:
            return None, None
        step, values = row[0], _finite(row[1])
        reported = values.get("tokens_per_second")
        num_steps = values.get("num_steps")
        if num_steps:
            self._num_steps = int(num_steps)
        if "seconds" in values and "tokens" in values:
            mark = _Mark(step, values["tokens"], values["seconds"])
            if self._marks and (mark.step < self._marks[-1].step or mark.seconds < self._marks[-1].seconds):
                self._marks.clear()
            if not self._marks or mark.step > self._marks[-1].step:
                self._marks.append(mark)
            while len(self._marks) > 2 and mark.seconds - self._marks[0].seconds > WINDOW_SECONDS:
                self._marks.popleft()
            first = self._marks[0]
            seconds = mark.seconds - first.seconds
            if seconds > 0:
                return (mark.tokens - first.tokens) / seconds, (mark.step - first.step) / seconds
            if reported and mark.tokens > 0:
                return reported, reported * mark.step / mark.tokens
        return reported, None

    def _metrics(self) -> dict[str, dict[str, float]]:
        metrics: dict[str, dict[str, float]] = {}
        for reader, prefix in ((self._training, ""), (self._evaluation, EVALUATION_PREFIX)):
            for site in reader.sites:
                row = reader.latest(site)
                if row is not None:
                    values = metrics.setdefault(site, {})
                    values |= {prefix + name: value for name, value in _finite(row[1]).items()}
        return metrics


def _time_left(steps: int | None, steps_per_second: float | None, before: float | None) -> float | None:
    """Seconds for the steps that are left; unknown after the last one: what then goes on is no step."""
    if steps == 0:
        return None
    return steps / steps_per_second if steps is not None and steps_per_second else before


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
