"""How far a live job is, read from its directory: steps, speed, time left, and the latest value of each metric."""

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
from saetui.rundir.metrics import MetricReader

WINDOW_SECONDS = 30.0
"""Training time over which the speed is taken: long enough to be calm, short enough to follow a change."""

EVALUATION_PREFIX = "eval_"
log = logging.getLogger(__name__)


class _Mark(NamedTuple):
    """Where the training was: steps and tokens done, and training time in seconds."""

    step: int
    tokens: float
    seconds: float


class NewestRows(MetricReader):
    """Knows only the newest row of each site: the histories of long jobs would fill the supervisor's memory."""

    def poll(self) -> int:
        """As `MetricReader.poll`, forgetting what came before the newest rows."""
        count = super().poll()
        for steps in self._steps.values():
            del steps[:-1]
        for columns in self._values.values():
            for history in columns:
                del history[:-1]
        return count


class Progress:
    """Follows one job's logs; each `read` costs four `stat` calls when nothing is new."""

    def __init__(self, run: RunDirectory) -> None:
        self._training = NewestRows(run.training_metrics)
        self._evaluation = NewestRows(run.evaluation_metrics)
        self._job = NewestRows(run.job_metrics)
        self._events = EventReader(run.events)
        self._marks: deque[_Mark] = deque(maxlen=10_000)
        self._num_steps: int | None = None
        self.started = False
        self.ended: LoggedEvent | None = None

    def read(self, job: Job) -> Job:
        """The job with the newest figures."""
        self._take_events()
        news = sum([self._poll(reader) for reader in (self._training, self._evaluation, self._job)])
        if news == 0 and self.ended is None:
            return msgspec.structs.replace(job, num_steps=self._num_steps or job.num_steps)
        step = self._step(job)
        tokens_per_second, steps_per_second = self._speed()
        num_steps = self._num_steps or job.num_steps
        left = None if num_steps is None else max(0, num_steps - step)
        return msgspec.structs.replace(
            job,
            step=step,
            num_steps=num_steps,
            progress=min(1.0, step / num_steps) if num_steps else 0.0,
            tokens_per_second=tokens_per_second or job.tokens_per_second,
            eta_seconds=left / steps_per_second if left is not None and steps_per_second else job.eta_seconds,
            metrics=self._metrics() or job.metrics,
        )

    def _poll(self, reader: MetricReader) -> int:
        try:
            return reader.poll()
        except (FormatError, OSError) as error:
            # Figures are shown where they can be read; the training itself does not depend on them.
            log.warning("%s", error)
            return 0

    def _take_events(self) -> None:
        for event in self._events.poll():
            if event.kind == "started":
                self.started, self.ended = True, None
                num_steps = event.data.get("num_steps")
                self._num_steps = num_steps if isinstance(num_steps, int) else self._num_steps
            elif event.kind == "ended":
                self.ended = event

    def _step(self, job: Job) -> int:
        found = [reader.latest(site) for reader in (self._training, self._job) for site in reader.sites]
        steps = [row[0] for row in found if row is not None]
        if self.ended is not None and self.ended.step is not None:
            steps.append(self.ended.step)
        return max(steps, default=job.step)

    def _speed(self) -> tuple[float | None, float | None]:
        """Tokens and steps a second over the window; what the trainer itself says where the window is empty."""
        row = self._job.latest("job")
        if row is None:
            return None, None
        step, values = row[0], _finite(row[1])
        said = values.get("tokens_per_second")
        num_steps = values.get("num_steps")
        if num_steps:
            self._num_steps = int(num_steps)
        if "seconds" in values and "tokens" in values:
            mark = _Mark(step, values["tokens"], values["seconds"])
            if self._marks and mark.step < self._marks[-1].step:
                self._marks.clear()
            if not self._marks or mark.step > self._marks[-1].step:
                self._marks.append(mark)
            while len(self._marks) > 2 and mark.seconds - self._marks[0].seconds > WINDOW_SECONDS:
                self._marks.popleft()
            first = self._marks[0]
            seconds = mark.seconds - first.seconds
            if seconds > 0:
                return (mark.tokens - first.tokens) / seconds, (mark.step - first.step) / seconds
            if said and mark.tokens > 0:
                return said, said * mark.step / mark.tokens
        return said, None

    def _metrics(self) -> dict[str, dict[str, float]]:
        metrics: dict[str, dict[str, float]] = {}
        for reader, prefix in ((self._training, ""), (self._evaluation, EVALUATION_PREFIX)):
            for site in reader.sites:
                row = reader.latest(site)
                if row is not None:
                    values = metrics.setdefault(site, {})
                    values |= {prefix + name: value for name, value in _finite(row[1]).items()}
        return metrics


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if math.isfinite(value)}
