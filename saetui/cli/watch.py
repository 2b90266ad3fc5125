"""`saetui watch`, and the wait of `train --wait`: a job's progress on standard error until it ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click

from saetui.cli.jobs import mean_of, named, state_of
from saetui.cli.output import job_argument, json_option, note, print_json, print_result
from saetui.cli.show import print_sites, read_evaluation
from saetui.client.blocking import ask, follow_job
from saetui.display.dates import listed
from saetui.display.figures import duration, number, percent, short_count
from saetui.display.sparkline import BARS, sparkline
from saetui.display.text import plain, shorten
from saetui.errors import FormatError
from saetui.jobs.job import Job, Status
from saetui.jobs.notices import desktop_notice, ended_notice, has_ended
from saetui.jobs.preferences import Preferences
from saetui.protocol.messages import GetJob, GetPreferences
from saetui.rundir.events import EventReader, LoggedEvent
from saetui.rundir.layout import RunDirectory

_SECONDS_BETWEEN_LINES = 5.0
_USUAL_WIDTH = 80
_CURVE_WIDTH = 16
"""Cells of the curve of the FVU, on a terminal."""
_MOST_POINTS = 1024
_OLD_EVENTS = 20
"""How many of the events from before the command are printed."""


@click.command()
@job_argument
@json_option
def watch(job: str, as_json: bool) -> int:
    """Follow a job to its end, in lines of text.

    Prints a line for each event; the newest figures replace each other below them. ctrl+c leaves, and the job goes on. The
    exit status is 0 when the job completed, else 1. On a terminal a small curve beside the FVU shows it since the command
    began.
    """
    return wait_for(ask(GetJob(job)).job, as_json, every_event=True)


def wait_for(job: Job, as_json: bool, *, every_event: bool = False) -> int:
    """Show a job's progress until it ends, then print it; ctrl+c leaves, and the job goes on.

    Args:
        job: as it is now.
        as_json: print the job as a document at its end.
        every_event: print each event, not only warnings.

    Returns:
        0 when the job completed, else 1.
    """
    progress = ProgressLine(every_event)
    first = job
    # Asked while the supervisor answers: the end of a job is shown whether it still does or not.
    preferences = ask(GetPreferences()).preferences if sys.stderr.isatty() else None
    try:
        for now in follow_job(job.id):
            job = now
            progress.show(job)
    except KeyboardInterrupt:
        progress.end()
        note(
            f"The job {named([job])} goes on. Show it with `saetui show {job.id}`, stop it with `saetui stop {job.id}`."
        )
        if as_json:
            print_json(job)
        return 1
    progress.end()
    if preferences is not None and has_ended(first, job):
        _give_notice(job, preferences)
    print_result(job, as_json, lambda: _print_outcome(job))
    if job.error is not None:
        note("error: " + " ".join(part for part in (job.error.message, job.error.suggestion) if part))
    return 0 if job.status is Status.COMPLETED else 1


def _give_notice(job: Job, preferences: Preferences) -> None:
    """Ring, and ask the terminal for a notice, where the preferences allow it: who waits looks at another window."""
    bell = "\a" if preferences.bell else ""
    notice = desktop_notice(ended_notice([job])) if preferences.desktop_notices else ""
    click.echo(bell + notice, err=True, nl=False)


def _print_outcome(job: Job) -> None:
    run = RunDirectory(Path(job.directory))
    click.echo(f"{plain(job.name)} ({job.id})  {state_of(job)} at step {job.step}")
    if job.metrics:
        print_sites(job, read_evaluation(run, job.sites))
    for path in run.results():
        click.echo(plain(str(path)))


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


class ProgressLine:
    """One line that is overwritten on a terminal; elsewhere a new line after each change of state, or every few seconds.

    Warnings of the training (dead latents, too little memory) get lines of their own.
    """

    def __init__(self, every_event: bool = False) -> None:
        """`every_event`: the other events get lines too."""
        self._every_event = every_event
        self._overwrites = sys.stderr.isatty()
        self._draws = self._overwrites and _can_show(BARS)
        self._curve: list[float] = []
        self._step = 0
        self._events: EventReader | None = None
        self._unreadable = False
        self._shown = ""
        self._important: tuple[Status | None, str | None] = (None, None)
        self._last_time = 0.0

    def show(self, job: Job) -> None:
        """Show the job as it is now."""
        self._read_events(job)
        self._take_point(job)
        text = plain(self._text(job))
        if text == self._shown:
            return
        if self._overwrites:
            # The terminal of standard error: standard output may be a file.
            width = os.get_terminal_size(sys.stderr.fileno()).columns or _USUAL_WIDTH
            click.echo(f"\r\x1b[K{shorten(text, width - 1)}", err=True, nl=False)
        else:
            important = (job.status, job.phase)
            if important == self._important and time.monotonic() - self._last_time < _SECONDS_BETWEEN_LINES:
                return
            click.echo(text, err=True)
            self._important, self._last_time = important, time.monotonic()
        self._shown = text

    def end(self) -> None:
        """Leave the line as it is."""
        if self._overwrites and self._shown:
            click.echo(err=True)

    def _take_point(self, job: Job) -> None:
        """Keep the FVU since the command began, for the curve on the line."""
        fvu = mean_of(job, "fvu")
        if fvu is None or job.step == self._step:
            return
        if job.step < self._step:
            self._curve = []
        self._step = job.step
        self._curve.append(fvu)
        if len(self._curve) > _MOST_POINTS:
            # Half as many tell the same: a training of weeks must not fill the memory.
            self._curve = self._curve[::2]

    def _read_events(self, job: Job) -> None:
        for event in self._new_events(job):
            if event.kind == "warning":
                self._note(f"warning: {event.message}")
            elif self._every_event:
                names_step = event.step is None or str(event.step) in event.message
                self._note(f"{listed(event.time)}  {'' if names_step else f'step {event.step}: '}{event.message}")

    def _new_events(self, job: Job) -> list[LoggedEvent]:
        if self._unreadable:
            return []
        try:
            if self._events is None:
                self._events = EventReader(RunDirectory(Path(job.directory)).events)
                return self._events.poll()[-_OLD_EVENTS:]
            return self._events.poll()
        except FormatError as error:
            # The job goes on all the same.
            self._unreadable = True
            self._note(f"warning: {error}")
            return []

    def _note(self, message: str) -> None:
        """Print a line above the one that is overwritten."""
        if self._overwrites and self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = ""
        note(message)

    def _text(self, job: Job) -> str:
        """The line, the most important part first: a narrow terminal cuts the end."""
        parts = [job.name, state_of(job)]
        if job.phase is not None:
            parts.append(job.phase)
        if job.degraded is not None:
            parts.append(job.degraded)
        if job.num_steps is not None and job.step:
            parts.append(f"{percent(job.progress)}  {job.step}/{job.num_steps}")
        if job.eta_seconds is not None and not job.status.ended:
            parts.append(f"{duration(job.eta_seconds)} left")
        for title, metric, show in (("FVU", "fvu", number), ("L0", "l0", number), ("dead", "dead_fraction", percent)):
            value = mean_of(job, metric)
            if value is not None:
                curve = sparkline(self._curve, _CURVE_WIDTH) if self._draws and metric == "fvu" else ""
                parts.append(f"{title} {show(value)} {curve}".rstrip())
        if job.tokens_per_second is not None:
            parts.append(f"{short_count(job.tokens_per_second)} tok/s")
        return "  ".join(parts)
