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
from saetui.tui.metrics import METRICS, Log, Metric, columns_of
from saetui.tui.theme import CURVES
from saetui.tui.traces import Series, TraceReader


@dataclass
class _Read:
    """One consistent reading; replaced as a whole, never changed."""

    means: dict[tuple[Log, str], Series] = field(default_factory=dict)
    sites: dict[tuple[Log, str, str], Series] = field(default_factory=dict)
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
        self._readers = {
            Log.TRAINING: TraceReader(run.training_metrics, columns_of(Log.TRAINING)),
            Log.HELD_OUT: TraceReader(run.evaluation_metrics, columns_of(Log.HELD_OUT)),
            Log.JOB: TraceReader(run.job_metrics, columns_of(Log.JOB)),
        }
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
            rows = [reader.poll() for reader in self._readers.values()]
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
        read, column = self._read, metric.column
        style = Style.POINTS if metric.log is Log.HELD_OUT else Style.LINE
        keys = [(site, (metric.log, site, column)) for site in self.sites]
        found = [(site, read.sites[key]) for site, key in keys if key in read.sites]
        if each_site and len(found) > 1:
            return [
                Curve(*series, CURVES[index % len(CURVES)], short_site(site, self.sites), letter, style, metric.exact)
                for index, ((site, series), letter) in enumerate(zip(found, cycle(ascii_lowercase)))
            ]
        label = f"mean of {len(found)}" if len(found) > 1 else ""
        curves = []
        if series := read.means.get((metric.log, column)):
            curves.append(Curve(*series, CURVES[0], label, style=style, exact=metric.exact))
        if metric.held_out and (series := read.means.get((Log.HELD_OUT, column))):
            curves.append(Curve(*series, CURVES[2], "held-out", style=Style.POINTS, exact=True))
        return curves

    @property
    def recorded(self) -> list[Metric]:
        """The metrics that have values."""
        return [metric for metric in METRICS if (metric.log, metric.column) in self._read.means]

    def latest(self, site: str) -> dict[str, float]:
        """The newest figures of a site: of the training, and as `eval_…` on held-out text."""
        return self._read.latest.get(site, {})

    @property
    def empty(self) -> bool:
        """No row of the training has been read yet."""
        return not any(log is Log.TRAINING for log, _ in self._read.means)

    @property
    def last_step(self) -> int:
        """The newest step that has a row in any of the logs; 0 before."""
        return max((steps[-1] for steps, _ in self._read.means.values()), default=0)

    def _collect(self) -> _Read:
        read = _Read()
        for log, reader in self._readers.items():
            for column in columns_of(log):
                if (series := reader.mean(column))[0]:
                    read.means[log, column] = series
                for site in reader.sites:
                    if (series := reader.series(site, column))[0]:
                        read.sites[log, site, column] = series
        training, held_out = self._readers[Log.TRAINING], self._readers[Log.HELD_OUT]
        for site in self.sites:
            trained, tested = training.newest.get(site), held_out.newest.get(site)
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
