"""`saetui jobs`, `stop` and `delete`: the list of jobs, and what is done to several at once."""

from __future__ import annotations

import sys

import click

from saetui.cli.job_table import named, print_jobs
from saetui.cli.output import json_option, print_json, say
from saetui.client.blocking import ask
from saetui.jobs.job import ENDED, Job, Status
from saetui.protocol.messages import DeleteJobs, GetJob, GetJobs, StopJobs

_ENDED_NAMES = sorted(status.value for status in ENDED)


@click.command()
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice([status.value for status in Status]), help="Only these."
)
@json_option
def jobs(statuses: tuple[str, ...], as_json: bool) -> None:
    """List the jobs.

    Oldest first.
    """
    found = [job for job in ask(GetJobs()).jobs if not statuses or job.status.value in statuses]
    if as_json:
        print_json(found)
    elif found:
        print_jobs(found)
    else:
        say("No jobs. Begin with `saetui demo`, or `saetui train SPEC.json`.")


@click.command()
@click.argument("keys", metavar="JOB...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every job that has not ended.")
@json_option
def stop(keys: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Stop jobs; each keeps a checkpoint and the SAE as it stands.

    JOB is an id, a unique beginning of one, or a name. Comes back as soon as the wish is recorded.
    """
    if bool(keys) == everything:
        raise click.UsageError(
            "Name the jobs to stop, or give --all." if not keys else "Name jobs or give --all, not both."
        )
    if everything:
        keys = tuple(job.id for job in ask(GetJobs()).jobs if not job.status.ended)
    stopped = ask(StopJobs(keys)).jobs if keys else ()
    if as_json:
        print_json(stopped)
    elif stopped:
        print_jobs(stopped)
    else:
        say("No job to stop.")


@click.command()
@click.argument("keys", metavar="JOB...", nargs=-1)
@click.option("--status", "statuses", multiple=True, type=click.Choice(_ENDED_NAMES), help="Every job in this state.")
@click.option("--all", "everything", is_flag=True, help="Every job that has ended.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(keys: tuple[str, ...], statuses: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> None:
    """Delete ended jobs with everything they made.

    JOB is an id, a unique beginning of one, or a name. What was exported elsewhere stays.
    """
    if bool(keys) + bool(statuses) + everything != 1:
        raise click.UsageError("Name the jobs to delete, or give --status or --all.")
    chosen = _chosen(keys, statuses)
    if chosen and not yes and not confirmed(f"Delete {named(chosen)} with checkpoints and results?", as_json):
        say("Nothing deleted.")
        return
    deleted = ask(DeleteJobs(tuple(job.id for job in chosen))).jobs if chosen else ()
    if as_json:
        print_json(deleted)
    elif deleted:
        click.echo(f"Deleted {named(deleted)}.")
    else:
        say("No job to delete.")


def confirmed(question: str, as_json: bool) -> bool:
    """Ask on the terminal; no is the default.

    Raises:
        click.UsageError: nobody is there to answer.
    """
    if as_json or not sys.stdin.isatty():
        raise click.UsageError("This asks before it deletes, and nobody can answer here: add --yes.")
    return click.confirm(question, default=False, err=True)


def _chosen(keys: tuple[str, ...], statuses: tuple[str, ...]) -> list[Job]:
    if keys:
        found = {job.id: job for job in (ask(GetJob(key)).job for key in keys)}
        return list(found.values())
    return [job for job in ask(GetJobs()).jobs if job.status.ended and (not statuses or job.status.value in statuses)]
