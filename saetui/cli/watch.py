"""`saetui watch`: a job followed to its end in lines of text, for terminals where the screens are too much."""

from __future__ import annotations

import click

from saetui.cli.output import json_option
from saetui.cli.waiting import wait_for
from saetui.client.blocking import ask
from saetui.protocol.messages import GetJob


@click.command()
@click.argument("job")
@json_option
def watch(job: str, as_json: bool) -> int:
    """Follow a job to its end, in lines of text.

    JOB is an id, a unique beginning of one, or a name. Every event gets a line; below them the newest figures are written
    over. ctrl+c leaves, and the job goes on. The exit status is 0 when it completed, else 1.
    """
    return wait_for(ask(GetJob(job)).job, as_json, every_event=True)
