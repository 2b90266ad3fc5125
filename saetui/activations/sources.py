"""The files of a dataset; those of the Hub are where its own library puts them."""

from __future__ import annotations

from pathlib import Path

from saetui.sources.files import DOWNLOADED, SourceFile
from saetui.sources.finding import find_dataset_files
from saetui.sources.splits import EVERYTHING

__all__ = ["find_files"]


def find_files(source: str, split: str = EVERYTHING) -> list[SourceFile]:
    """Finds the files of a dataset, in an order that depends on their names alone.

    Args:
        source: `bundled:stdlib`, a file, a directory, a dataset that `save_to_disk` wrote, or a Hub id; see sources/finding.py.
        split: which part of it.

    Raises:
        DatasetError: there is nothing, nothing that can be read, or no such split.
    """
    return find_dataset_files(source, split, _in_hub_cache).files


def _in_hub_cache(reference: str) -> Path | None:
    # Takes longer to load than all else here, and few need it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(reference, repo_type="dataset", local_files_only=True, allow_patterns=list(DOWNLOADED))
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
