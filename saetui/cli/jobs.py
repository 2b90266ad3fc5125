"""`saetui jobs` and `saetui queue`: jobs for people, one line each, with the state by glyph, word and colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

import click

from saetui.cli.candidates import complete_jobs
from saetui.cli.output import Column, explain_job, json_option, note, print_json, print_table, right
from saetui.client.blocking import ask
from saetui.display.figures import ABSENT, ago, duration, number, percent
from saetui.jobs.job import Job, Status, queue_order
from saetui.protocol.messages import GetJobs, MoveJobs, Place
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
    *right("DONE", "L0", "FVU"),
    Column("HELD-OUT FVU", right=True, drops=True),
    Column("HELD-OUT L0", right=True, drops=True),
    Column("WHEN"),
)
_FIGURES = ("l0", "fvu", EVALUATION_PREFIX + "fvu", EVALUATION_PREFIX + "l0")


@click.command()
@click.option("--status", "statuses", multiple=True, type=click.Choice([status.value for status in Status]),
              help="List only jobs in this state; can be repeated.")  # fmt: skip
@json_option
def jobs(statuses: tuple[str, ...], as_json: bool) -> None:
    """List the jobs, the oldest first."""
    everyone = ask(GetJobs()).jobs
    found = [job for job in everyone if not statuses or job.status.value in statuses]
    if as_json:
        print_json(found)
    elif found:
        print_jobs(found, everyone)
    else:
        note("No jobs. Begin with `saetui demo`, or `saetui train SPEC.json`.")


@click.command()
@click.argument("keys", metavar="[JOB...]", nargs=-1, shell_complete=complete_jobs)
@click.option("--first", "to", flag_value=Place.FIRST.value, help="Move the jobs before all others.")
@click.option("--last", "to", flag_value=Place.LAST.value, help="Move the jobs behind all others.")
@click.option("--up", "to", flag_value=Place.UP.value, help="Move the jobs one place forward.")
@click.option("--down", "to", flag_value=Place.DOWN.value, help="Move the jobs one place back.")
@json_option
@explain_job
def queue(keys: tuple[str, ...], to: str | None, as_json: bool) -> None:
    """Show the queue, or move jobs in it.

    Each device takes the first job that is meant for it. A paused job has no place; one that waits for another job
    (`train --after`) lets those behind it pass.
    """
    if bool(keys) != (to is not None):
        raise click.UsageError("Give --first, --last, --up or --down." if keys else "Name the jobs to move.")
    found = list(ask(MoveJobs(keys, Place(to))).jobs) if to is not None else queue_order(ask(GetJobs()).jobs)
    if as_json:
        print_json(found)
    elif found:
        print_jobs(found, found)
    else:
        note("No job waits.")


def print_jobs(jobs: Sequence[Job], everyone: Sequence[Job] | None = None) -> None:
    """Print a list of jobs.

    Args:
        jobs: in the order in which they are printed.
        everyone: all jobs, which give the queued ones their places; None: no places are shown.
    """
    places = {job.id: number for number, job in enumerate(queue_order(everyone or ()), start=1)}
    print_table(_COLUMNS, [_row(job, places.get(job.id)) for job in jobs], [COLOURS.get(job.status) for job in jobs])


def named(jobs: Iterable[Job]) -> str:
    """Jobs in a sentence."""
    return ", ".join(f"{job.name} ({job.id})" for job in jobs)


def state_of(job: Job) -> str:
    """What a job does, as glyph and word."""
    return f"{GLYPHS[job.status]} {job.activity}"


def mean_of(job: Job, metric: str) -> float | None:
    """The mean of a metric over the job's sites; None where no site has it."""
    values = [figures[metric] for figures in job.metrics.values() if metric in figures]
    return fmean(values) if values else None


def _row(job: Job, place: int | None) -> tuple[str, ...]:
    done = ABSENT if job.num_steps is None else percent(job.progress)
    state = state_of(job) if place is None else f"{state_of(job)} #{place}"
    return (
        job.id,
        state,
        job.name,
        job.architecture,
        done,
        *(number(mean_of(job, name)) for name in _FIGURES),
        _when(job),
    )


def _when(job: Job) -> str:
    """How long to the end, or since when; of a job in a phase, what it is at."""
    if job.ended_at is not None:
        return ago(job.ended_at)
    if job.phase is not None:
        return job.phase
    if job.eta_seconds is not None:
        return f"{duration(job.eta_seconds)} left"
    return f"since {ago(job.started_at or job.created_at).removesuffix(' ago')}"
