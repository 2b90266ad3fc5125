"""What a spec names and this machine lacks, fetched from the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saetui.cli.output import say
from saetui.cli.task import run_task
from saetui.errors import SaetuiError
from saetui.sources.hub_cache import Kind, find_snapshot, is_hub_id


def download(kind: Kind, reference: str, revision: str | None = None) -> str:
    """Fetch a model or a dataset, or what is missing of it; the directory of its files.

    Raises:
        SaetuiError: the Hub has it not, or cannot be reached, or there is no room.
    """
    request = {"kind": kind, "reference": reference, "revision": revision}
    directory: str = run_task("saetui.training.tasks.download", request)
    say(f"{reference} is in {directory}.")
    return directory


def download_missing(raw: Mapping[str, Any]) -> None:
    """Fetch the model and the dataset of a spec, where they may be names on the Hub and are not on this machine.

    Why one cannot be had is a warning: who checks the spec says next that it is missing, with all else that is wrong.
    """
    model, revision, dataset = raw.get("model"), raw.get("revision"), raw.get("dataset")
    if isinstance(model, str) and (revision is None or isinstance(revision, str)):
        _download_where_missing("models", model, revision)
    source = dataset.get("source") if isinstance(dataset, Mapping) else None
    # A file that is missing is no name on the Hub: those of datasets have an owner.
    if isinstance(source, str) and "/" in source:
        _download_where_missing("datasets", source)


def _download_where_missing(kind: Kind, reference: str, revision: str | None = None) -> None:
    if not is_hub_id(reference) or Path(reference).exists() or find_snapshot(kind, reference, revision) is not None:
        return
    try:
        download(kind, reference, revision)
    except SaetuiError as error:
        say(f"warning: {error.message}")
