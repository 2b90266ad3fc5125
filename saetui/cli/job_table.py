"""Jobs for people: one line each, state by glyph, word and colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from saetui.cli.output import Column, print_table
from saetui.display.figures import ABSENT, ago, duration, number, percent
from saetui.jobs.job import Job, Status, queue_order
from saetui.rundir.metrics import EVALUATION_PREFIX

GLYPHS = {
    Status.QUEUED: "◌",
    Status.STARTING: "◔",
    Status.RUNNING: "●",
    Status.PAUSED: "‖",
    Status.STOPPING: "◑",
    Status.COMPLETED: "✓",
    Status.STOPPED: "■",
    Status.FAILED: "✗",
    Status.LOST: "?",
}
COLOURS = {
    Status.RUNNING: "bright_green",
    Status.PAUSED: "yellow",
    Status.STOPPING: "yellow",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.LOST: "red",
}

_COLUMNS = (
    Column("ID"),
    Column("STATUS"),
    Column("NAME", gives_way=True),
    Column("ARCH"),
    Column("DONE", right=True),
    Column("L0", right=True),
    Column("FVU", right=True),
    Column("HELD-OUT FVU", right=True, drops=True),
    Column("HELD-OUT L0", right=True, drops=True),
    Column("WHEN"),
)


def state_of(job: Job) -> str:
    """The state as glyph and word."""
    return f"{GLYPHS[job.status]} {job.state}"


def mean_of(job: Job, metric: str) -> float | None:
    """The mean of a metric over the job's sites; None where none has it."""
    values = [figures[metric] for figures in job.metrics.values() if metric in figures]
    return fmean(values) if values else None


def when(job: Job) -> str:
    """What a reader wants to know of the time: how long to the end, or since."""
    if job.ended_at is not None:
        return ago(job.ended_at)
    if job.eta_seconds is not None:
        return f"{duration(job.eta_seconds)} left"
    return f"since {ago(job.started_at or job.created_at).removesuffix(' ago')}"


def print_jobs(jobs: Sequence[Job], everyone: Sequence[Job] | None = None) -> None:
    """A list of jobs.

    Args:
        jobs: in the order in which they are printed.
        everyone: all jobs that there are, which give the queued ones their places; None: no places are shown.
    """
    places = {job.id: number for number, job in enumerate(queue_order(everyone or ()), start=1)}
    rows = [_row(job, places.get(job.id)) for job in jobs]
    print_table(_COLUMNS, rows, [COLOURS.get(job.status) for job in jobs])


def named(jobs: Iterable[Job]) -> str:
    """Jobs in a sentence."""
    return ", ".join(f"{job.name} ({job.id})" for job in jobs)


def _row(job: Job, place: int | None) -> tuple[str, ...]:
    done = ABSENT if job.num_steps is None else percent(job.progress)
    figures = [
        number(mean_of(job, metric)) for metric in ("l0", "fvu", EVALUATION_PREFIX + "fvu", EVALUATION_PREFIX + "l0")
    ]
    state = state_of(job) if place is None else f"{state_of(job)} #{place}"
    return job.id, state, job.name, job.architecture, done, *figures, when(job)
