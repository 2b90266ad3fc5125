"""`saetui jobs`: the list of jobs."""

from __future__ import annotations

import click

from saetui.cli.job_table import print_jobs
from saetui.cli.output import json_option, print_json, say
from saetui.client.blocking import ask
from saetui.jobs.job import Status
from saetui.protocol.messages import GetJobs


@click.command()
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice([status.value for status in Status]), help="Only these."
)
@json_option
def jobs(statuses: tuple[str, ...], as_json: bool) -> None:
    """List the jobs.

    Oldest first.
    """
    everyone = ask(GetJobs()).jobs
    found = [job for job in everyone if not statuses or job.status.value in statuses]
    if as_json:
        print_json(found)
    elif found:
        print_jobs(found, everyone)
    else:
        say("No jobs. Begin with `saetui demo`, or `saetui train SPEC.json`.")
