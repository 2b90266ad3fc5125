"""`saetui models` and `saetui datasets`: what can be chosen on this machine."""

from __future__ import annotations

import click

from saetui.cli.downloading import download
from saetui.cli.output import Column, json_option, print_json, print_table, say
from saetui.display.figures import count, size


@click.command()
@click.option("--download", "wanted", metavar="ID", help="Fetch a model from the Hub first: owner/name.")
@click.option("--revision", metavar="NAME", help="The branch, tag or commit to fetch; else the main one.")
@json_option
def models(wanted: str | None, revision: str | None, as_json: bool) -> None:
    """List the models that can be chosen here.

    The bundled one, and those in the local cache of the Hub. A directory with a model can always be named.
    """
    from saetui.catalog.models import list_models

    if wanted is not None:
        download("models", wanted, revision)
    elif revision is not None:
        raise click.UsageError("--revision goes with --download.")
    found = list_models()
    if as_json:
        print_json(found)
        return
    columns = (
        Column("MODEL", gives_way=True),
        Column("FAMILY"),
        *(Column(title, right=True) for title in ("LAYERS", "WIDTH", "CONTEXT", "SIZE")),
    )
    print_table(
        columns,
        [
            (
                info.reference,
                info.family,
                str(info.num_layers),
                str(info.hidden_size),
                count(info.context_limit),
                size(info.size_bytes),
            )
            for info in found
        ],
    )


@click.command()
@click.option("--download", "wanted", metavar="ID", help="Fetch a dataset from the Hub first: owner/name.")
@json_option
def datasets(wanted: str | None, as_json: bool) -> None:
    """List the datasets that can be chosen here.

    The bundled one, and those in the local cache of the Hub. A file or directory of text can always be named.
    """
    from saetui.catalog.datasets import list_datasets
    from saetui.sources.text_files import KINDS

    if wanted is not None:
        download("datasets", wanted)
    found = list_datasets()
    if as_json:
        print_json(found)
        return
    columns = (
        Column("DATASET", gives_way=True),
        Column("WHAT", gives_way=True),
        Column("FILES", right=True),
        Column("SIZE", right=True),
    )
    print_table(columns, [(info.source, info.description, str(info.files), size(info.size_bytes)) for info in found])
    if len(found) < 2:
        say(f"A file of text ({KINDS}), or a directory of them, can be used too: name its path.")
