"""`saetui export`: copy the finished SAEs of a job to where other tools load them."""

from __future__ import annotations

import click

from saetui.cli.candidates import complete_files
from saetui.cli.output import job_argument, json_option, print_json
from saetui.client.blocking import ask
from saetui.client.exporting import FORMATS, Export
from saetui.display.text import plain
from saetui.formats.paths import user_path
from saetui.protocol.messages import GetJob


@click.command()
@job_argument
@click.argument("directory", metavar="DIR", shell_complete=complete_files)
@click.option("--site", metavar="SITE", help="Export only this site; DIR is then its SAE.")
@click.option("--format", "layout", type=click.Choice(FORMATS), default="saelens", show_default=True,
              help="Write the files of this tool.")  # fmt: skip
@json_option
def export(job: str, directory: str, site: str | None, layout: str, as_json: bool) -> None:
    """Copy a job's finished SAEs, for other tools to load.

    DIR gets a directory for each site (DIR/layer_2.resid_post). With --site, DIR itself is the SAE. DIR appears whole or
    not at all, and nothing is overwritten. An SAE for which the tool has no architecture is refused, with the reason.

    SAEs of mlp_in, and transcoders, read the hook blocks.L.mlp.hook_in: SAELens attaches them to its HookedSAETransformer
    and SAETransformerBridge; a plain HookedTransformer has no hook for the input of the MLP.
    """
    exported = Export(ask(GetJob(job)).job, user_path(directory), layout, site).run()
    if as_json:
        print_json([{"site": name, "directory": str(path), "format": layout} for name, path in exported.items()])
    else:
        for path in exported.values():
            click.echo(plain(str(path)))
