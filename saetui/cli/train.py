"""`saetui train`: a spec from a file or a template becomes a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from saetui.cli.candidates import complete_jobs
from saetui.cli.catalog import download_missing
from saetui.cli.output import Command, json_option, note, print_json, warn
from saetui.cli.spec_options import chosen_spec, final_spec, spec_options
from saetui.cli.watch import wait_for
from saetui.client.blocking import ask
from saetui.display.text import plain
from saetui.protocol.messages import Submit


def wait_option(command: Command) -> Command:
    """`--wait`."""
    option = click.option("--wait", is_flag=True, help="Wait until the job has ended; exit 1 unless it completed.")
    return option(command)


@click.command()
@spec_options
@click.option(
    "--after",
    metavar="JOB",
    shell_complete=complete_jobs,
    help="Start only when this job has completed; fail when it does not.",
)
@wait_option
@json_option
def train(
    spec_file: str | None,
    template: str | None,
    overrides: tuple[str, ...],
    after: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Train SAEs from a spec file or a template.

    With - in the place of SPEC.json the spec comes from standard input.

    The job goes on when this command, its terminal or its connection ends. Relative paths in a spec count from the current
    directory. A model or a dataset of the Hub that is missing on this machine is downloaded first.
    """
    raw, template_id = chosen_spec(spec_file, template)
    return submit(raw, overrides, wait, as_json, template=template_id, after=after)


def submit(
    raw: Mapping[str, Any], overrides: Iterable[str], wait: bool, as_json: bool, *, template: str | None = None,
    after: str | None = None,
) -> int:  # fmt: skip
    """Submit a spec and print its job, at once or after its end. Returns the exit status.

    Raises:
        SpecError: with every problem at once; no job was made.
    """
    spec = final_spec(raw, overrides)
    download_missing(spec)
    submitted = ask(Submit(spec, template, after))
    warn(submitted.warnings)
    job = submitted.job
    if wait:
        return wait_for(job, as_json)
    if as_json:
        print_json(job)
    else:
        click.echo(f"{plain(job.name)} ({job.id}) {job.state}")
        note(f"Show it with `saetui` or `saetui show {job.id}`.")
    return 0
