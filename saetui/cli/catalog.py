"""`saetui models` and `saetui datasets`: what can be chosen on this machine, and downloads of what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from saetui.cli.output import Column, json_option, note, print_json, print_table, right
from saetui.cli.task import run_task
from saetui.display.figures import count, size
from saetui.errors import SaetuiError
from saetui.sources.hub_cache import Kind, find_snapshot, is_hub_id


@click.command()
@click.option("--download", "wanted", metavar="ID", help="Download a model from the Hub first: owner/name.")
@click.option("--revision", metavar="NAME", help="Download this branch, tag or commit, not the main one.")
@json_option
def models(wanted: str | None, revision: str | None, as_json: bool) -> None:
    """List the models that can be chosen here.

    These are the bundled one, and those in the local cache of the Hub. A spec can also name any directory with a model.
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
    columns = [Column("MODEL", gives_way=True), Column("FAMILY"), *right("LAYERS", "WIDTH", "CONTEXT", "SIZE")]
    rows = [
        (info.reference, info.family, str(info.num_layers), str(info.hidden_size), count(info.context_limit),
         size(info.size_bytes))
        for info in found
    ]  # fmt: skip
    print_table(columns, rows)


@click.command()
@click.option("--download", "wanted", metavar="ID", help="Download a dataset from the Hub first: owner/name.")
@json_option
def datasets(wanted: str | None, as_json: bool) -> None:
    """List the datasets that can be chosen here.

    These are the bundled one, and those in the local cache of the Hub. A spec can also name any file or directory of text.
    """
    from saetui.catalog.datasets import list_datasets
    from saetui.sources.text_files import KINDS

    if wanted is not None:
        download("datasets", wanted)
    found = list_datasets()
    if as_json:
        print_json(found)
        return
    columns = [Column("DATASET", gives_way=True), Column("WHAT", gives_way=True), *right("FILES", "SIZE")]
    print_table(columns, [(info.source, info.description, str(info.files), size(info.size_bytes)) for info in found])
    if len(found) < 2:
        note(f"A file of text ({KINDS}), or a directory of them, can be used too: name its path.")


def download(kind: Kind, reference: str, revision: str | None = None) -> None:
    """Download a model or a dataset, or the part of it that is missing.

    Raises:
        SaetuiError: the Hub does not have it or cannot be reached, or the disk has no room.
    """
    request = {"kind": kind, "reference": reference, "revision": revision}
    note(f"{reference} is in {run_task('saetui.training.tasks.download', request)}.")


def download_missing(raw: Mapping[str, Any]) -> None:
    """Download the model and the dataset of a spec, where they may be names on the Hub and are not on this machine.

    A failed download is a warning: the check of the spec then reports what is missing, with everything else that is wrong.
    """
    model, revision, dataset = raw.get("model"), raw.get("revision"), raw.get("dataset")
    if isinstance(model, str) and (revision is None or isinstance(revision, str)):
        _download_where_missing("models", model, revision)
    source = dataset.get("source") if isinstance(dataset, Mapping) else None
    # Datasets on the Hub have an owner: a name without one is a file that does not exist.
    if isinstance(source, str) and "/" in source:
        _download_where_missing("datasets", source)


def _download_where_missing(kind: Kind, reference: str, revision: str | None = None) -> None:
    if not is_hub_id(reference) or Path(reference).exists() or find_snapshot(kind, reference, revision) is not None:
        return
    try:
        download(kind, reference, revision)
    except SaetuiError as error:
        note(f"warning: {error.message}")
