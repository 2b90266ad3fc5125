"""`saetui demo`: train a real SAE on the bundled model and text, with nothing to prepare."""

from __future__ import annotations

import click

from saetui.cli.main import has_terminal, run_screens
from saetui.cli.output import json_option, note
from saetui.cli.watch import wait_for
from saetui.client.blocking import ask
from saetui.formats.names import free_name
from saetui.jobs.job import Job
from saetui.jobs.templates import DEMO_NAME, DEMO_SPEC
from saetui.protocol.messages import GetJobs, Submit


@click.command()
@json_option
def demo(as_json: bool) -> int:
    """Train an SAE on the bundled model and text.

    On a terminal the screens show it, elsewhere plain lines. A demo that already runs is shown, not started again.
    """
    job = find_or_submit()
    if has_terminal() and not as_json:
        return run_screens(job.id)
    if not as_json:
        note(f"demo: {job.model}, layer {', '.join(map(str, job.layers))}, {job.architecture}; in {job.directory}")
    return wait_for(job, as_json)


def find_or_submit() -> Job:
    """The demo that has not ended, or a new one under a free name."""
    jobs = ask(GetJobs()).jobs
    running = [job for job in jobs if not job.status.ended and _is_demo(job.name)]
    if running:
        return running[-1]
    name = free_name(DEMO_NAME, [job.name for job in jobs])
    return ask(Submit({**DEMO_SPEC, "name": name})).job


def _is_demo(name: str) -> bool:
    return name == DEMO_NAME or (name.startswith(f"{DEMO_NAME}_") and name.removeprefix(f"{DEMO_NAME}_").isdigit())
