"""`saetui queue`: what waits, and in which order it starts."""

from __future__ import annotations

import click

from saetui.cli.job_table import print_jobs
from saetui.cli.output import json_option, print_json, say
from saetui.client.blocking import ask
from saetui.jobs.job import queue_order
from saetui.protocol.messages import GetJobs, MoveJobs, Place


@click.command()
@click.argument("keys", metavar="[JOB...]", nargs=-1)
@click.option("--first", "to", flag_value=Place.FIRST.value, help="Before all others.")
@click.option("--last", "to", flag_value=Place.LAST.value, help="Behind all others.")
@click.option("--up", "to", flag_value=Place.UP.value, help="One place earlier.")
@click.option("--down", "to", flag_value=Place.DOWN.value, help="One place later.")
@json_option
def queue(keys: tuple[str, ...], to: str | None, as_json: bool) -> None:
    """Show the queue, or give jobs another place in it.

    JOB is an id, a unique beginning of one, or a name. Each device takes the first job that is meant for it. A paused
    job has no place; one that waits for another job (`train --after`) lets those behind it pass.
    """
    if bool(keys) != (to is not None):
        raise click.UsageError(
            "Say where to: --first, --last, --up or --down." if keys else "Name the jobs that shall have another place."
        )
    found = list(ask(MoveJobs(keys, Place(to))).jobs) if to is not None else queue_order(ask(GetJobs()).jobs)
    if as_json:
        print_json(found)
    elif found:
        print_jobs(found, found)
    else:
        say("Nothing waits.")
