"""`saetui export`: the finished SAEs of a job, carried to where other tools load them."""

from __future__ import annotations

from pathlib import Path

import click

from saetui.cli.carry import copy_out
from saetui.cli.output import json_option, print_json
from saetui.cli.plain import plain
from saetui.client.blocking import ask
from saetui.errors import NotFound
from saetui.jobs.job import Job
from saetui.protocol.messages import GetJob
from saetui.rundir.layout import RunDirectory


@click.command()
@click.argument("job")
@click.argument("directory", metavar="DIR")
@click.option("--site", metavar="SITE", help="Only this site; DIR is then its SAE itself.")
@click.option(
    "--format", "layout", type=click.Choice(["saelens"]), default="saelens", show_default=True, help="The layout."
)
@json_option
def export(job: str, directory: str, site: str | None, layout: str, as_json: bool) -> None:
    """Copy a job's finished SAEs, for other tools to load.

    DIR gets a directory for each site (DIR/layer_2.resid_post), which SAELens loads. With --site, DIR itself is the SAE. DIR appears whole or
    not at all, and nothing is overwritten.
    """
    found = ask(GetJob(job)).job
    results = finished(found)
    target = Path(directory).expanduser().absolute()
    if site is None:
        copy_out(results, target)
        exported = {name: target / name for name in results}
    else:
        if site not in results:
            raise NotFound(f"The job {found.name} has no site {site}.", f"It has {', '.join(results)}.")
        copy_out({"": results[site]}, target)
        exported = {site: target}
    if as_json:
        print_json([{"site": name, "directory": str(path), "format": layout} for name, path in exported.items()])
    else:
        for path in exported.values():
            click.echo(plain(str(path)))


def finished(job: Job) -> dict[str, Path]:
    """The results of a job: site → directory.

    Raises:
        NotFound: it has none.
    """
    results = RunDirectory(Path(job.directory)).results()
    if results:
        return {path.name: path for path in results}
    if job.status.ended:
        way_out = f"It ended without one; `saetui show {job.id}` says why."
    else:
        way_out = f"It gets one at its end; `saetui stop {job.id}` ends it now and keeps what there is."
    raise NotFound(f"The job {job.name} ({job.id}) is {job.status.value} and has no result.", way_out)
