"""`saetui train`: a spec from a file or a template becomes a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from saetui.cli.downloading import download_missing
from saetui.cli.output import Command, json_option, print_json, say, warn
from saetui.cli.template_lookup import find_template
from saetui.cli.waiting import wait_for
from saetui.client.blocking import ask
from saetui.display.text import plain
from saetui.protocol.messages import Submit
from saetui.spec.editing import absolute_paths, apply_overrides, load_spec_file


def overrides_option(command: Command) -> Command:
    """`-o KEY=VALUE`."""
    return click.option(
        "-o",
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Set a spec field or a hyperparameter, e.g. -o k=16 -o layers=1,2.",
    )(command)


def wait_option(command: Command) -> Command:
    """`--wait`."""
    return click.option("--wait", is_flag=True, help="Stay until the job has ended; exit 1 unless it completed.")(
        command
    )


@click.command()
@click.argument("spec_file", metavar="[SPEC.json]", required=False)
@click.option("--template", metavar="NAME", help="Take the spec from a template.")
@overrides_option
@click.option("--after", metavar="JOB", help="Start only when this job has completed; fail when it does not.")
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
    """Train SAEs as a spec file or a template asks.

    The job runs on when this command, its terminal or its connection ends. Relative paths in a spec count from
    the current directory. A model or a dataset of the Hub that is not on this machine is downloaded first.
    """
    if (spec_file is None) == (template is None):
        raise click.UsageError("Give a SPEC.json or --template NAME, one of them.")
    if spec_file is not None:
        return submit(load_spec_file(Path(spec_file)), overrides, wait, as_json, after=after)
    assert template is not None
    found = find_template(template)
    return submit(found.spec, overrides, wait, as_json, template=found.id, after=after)


def submit(
    raw: Mapping[str, Any],
    overrides: Iterable[str],
    wait: bool,
    as_json: bool,
    *,
    template: str | None = None,
    after: str | None = None,
) -> int:
    """Submit a spec, print its job (or wait for its end); the exit status.

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
        say(f"See it with `saetui` or `saetui show {job.id}`.")
    return 0


def final_spec(raw: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The spec with its overrides and with absolute paths, as it is submitted.

    Raises:
        SpecError: an override is not understood.
    """
    return absolute_paths(apply_overrides(raw, overrides), Path.cwd())
