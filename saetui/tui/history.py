"""The history of one job, read from its directory as it grows: curves and events. Polled in a thread, read in the app."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from string import ascii_lowercase

from saetui.errors import FormatError
from saetui.rundir.events import EventReader, LoggedEvent
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import EVALUATION_PREFIX
from saetui.tui.curves import Curve, Style
from saetui.tui.theme import CURVES
from saetui.tui.traces import Series, TraceReader

JOB_SITE = "job"


@dataclass(frozen=True)
class Metric:
    """The metric of a chart: which column of which log.

    Attributes:
        whole_job: in the log of the whole job, not of each site.
        log_scale: may have a logarithmic axis.
        zero: the axis begins at 0.
        share: a share of 1, shown as a percentage.
        held_out: the values on held-out text are drawn too.
        exact: never smoothed.
    """

    column: str
    title: str
    whole_job: bool = False
    log_scale: bool = False
    zero: bool = False
    share: bool = False
    held_out: bool = False
    exact: bool = False


METRICS: tuple[Metric, ...] = (
    Metric("loss", "loss", log_scale=True),
    Metric("fvu", "FVU", log_scale=True, held_out=True),
    Metric("l0", "L0", held_out=True),
    Metric("dead_fraction", "dead", zero=True, share=True),
    Metric("learning_rate", "learning rate", zero=True, exact=True),
    Metric("tokens_per_second", "tokens/s", whole_job=True),
)
"""In the order of the charts; the first four are drawn beside the list."""

_Key = tuple[str, str]


@dataclass
class _Read:
    """One consistent reading; replaced as a whole, never changed."""

    training: dict[_Key, Series] = field(default_factory=dict)
    training_mean: dict[str, Series] = field(default_factory=dict)
    held_out_mean: dict[str, Series] = field(default_factory=dict)
    whole_job: dict[str, Series] = field(default_factory=dict)
    latest: dict[str, dict[str, float]] = field(default_factory=dict)


class History:
    """Curves and events of one job.

    Attributes:
        job: its id.
        events: all events so far, oldest first.
        trouble: why the metrics cannot be read, or "".
        poll_seconds: the duration of the last poll.
    """

    def __init__(self, job: str, run: RunDirectory, sites: Sequence[str]) -> None:
        self.job = job
        self.run = run
        self.sites = tuple(sites)
        self.events: tuple[LoggedEvent, ...] = ()
        self.trouble = ""
        self.poll_seconds = 0.0
        self._polling = threading.Lock()
        self._read = _Read()
        columns = [metric.column for metric in METRICS]
        self._training = TraceReader(run.training_metrics, columns)
        self._held_out = TraceReader(run.evaluation_metrics, columns)
        self._whole_job = TraceReader(run.job_metrics, columns)
        self._event_reader = EventReader(run.events)

    def poll(self) -> bool:
        """Read new rows and events. Returns whether there were any. Does nothing while another thread still polls."""
        if not self._polling.acquire(blocking=False):
            return False
        try:
            return self._poll()
        finally:
            self._polling.release()

    def _poll(self) -> bool:
        started = time.monotonic()
        try:
            rows = [reader.poll() for reader in (self._training, self._held_out, self._whole_job)]
            new = self._event_reader.poll()
            self.trouble = ""
        except (FormatError, OSError) as error:
            changed = self.trouble != str(error)
            self.trouble = str(error)
            return changed
        if any(rows):
            self._read = self._collect()
        if new:
            self.events += tuple(new)
        self.poll_seconds = time.monotonic() - started
        return bool(any(rows) or new)

    def curves(self, metric: Metric, *, each_site: bool = False) -> list[Curve]:
        """The curves of a chart: the mean over sites or a curve for each, and the held-out curve if there is one."""
        read, column, exact = self._read, metric.column, metric.exact
        if metric.whole_job:
            series = read.whole_job.get(column)
            return [Curve(*series, CURVES[0], exact=exact)] if series else []
        found = [(site, read.training[site, column]) for site in self.sites if (site, column) in read.training]
        if each_site and len(found) > 1:
            return [
                Curve(*series, CURVES[index % len(CURVES)], short_site(site, self.sites), letter, exact=exact)
                for index, ((site, series), letter) in enumerate(zip(found, cycle(ascii_lowercase)))
            ]
        label = f"mean of {len(found)}" if len(found) > 1 else ""
        curves = []
        if column in read.training_mean:
            curves.append(Curve(*read.training_mean[column], CURVES[0], label, exact=exact))
        if metric.held_out and column in read.held_out_mean:
            curves.append(Curve(*read.held_out_mean[column], CURVES[2], "held-out", style=Style.POINTS, exact=True))
        return curves

    def latest(self, site: str) -> dict[str, float]:
        """The newest figures of a site: of the training, and as `eval_…` on held-out text."""
        return self._read.latest.get(site, {})

    @property
    def empty(self) -> bool:
        """No row of the training has been read yet."""
        return not self._read.training

    @property
    def last_step(self) -> int:
        """The newest step that has a row in any of the logs; 0 before."""
        read = self._read
        logs = (read.training, read.held_out_mean, read.whole_job)
        return max((steps[-1] for log in logs for steps, _ in log.values()), default=0)

    def _collect(self) -> _Read:
        read = _Read()
        for metric in METRICS:
            column = metric.column
            for target, series in (
                (read.training_mean, self._training.mean(column)),
                (read.held_out_mean, self._held_out.mean(column)),
                (read.whole_job, self._whole_job.series(JOB_SITE, column)),
            ):
                if series[0]:
                    target[column] = series
            for site in self._training.sites:
                series = self._training.series(site, column)
                if series[0]:
                    read.training[site, column] = series
        for site in self.sites:
            trained, tested = self._training.newest.get(site), self._held_out.newest.get(site)
            read.latest[site] = {
                **(trained[1] if trained else {}),
                **{EVALUATION_PREFIX + column: value for column, value in (tested[1] if tested else {}).items()},
            }
        return read


def short_site(site: str, among: Sequence[str]) -> str:
    """The part of a site's name that differs from the others: `layer 2`, or `2.mlp_out` with several hook points."""
    layer, _, point = site.removeprefix("layer_").partition(".")
    points = {name.partition(".")[2] for name in among}
    layers = {name.partition(".")[0] for name in among}
    if len(points) == 1:
        return f"layer {layer}"
    return point if len(layers) == 1 else f"{layer}.{point}"
