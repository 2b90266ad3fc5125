"""The datasets on this machine, described without reading them completely."""

from __future__ import annotations

import msgspec

from saetui.errors import DatasetError
from saetui.formats.paths import why_no_path
from saetui.sources import text_files
from saetui.sources.dataset_files import BUNDLED_DATASET, EVERYTHING, find_dataset_files
from saetui.sources.hub_cache import list_references
from saetui.sources.text_files import SourceFile, UnusableFile

_PROBED = 20


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a form needs to know about a dataset: the number of files of `split`, and their (compressed) size on disk."""

    source: str
    split: str
    description: str
    files: int
    size_bytes: int


def find_dataset(source: str, context_length: int, split: str = EVERYTHING) -> DatasetInfo:
    """Describe a dataset from its files, their sizes, and the first bytes of the first few.

    There must be text for two contexts. Other faults (a damaged row, too few tokens) show only when the training reads the text.

    Raises:
        DatasetError: missing, empty, binary, of an unknown kind, without this split, or shorter than two contexts.
    """
    reason = why_no_path(source)
    if reason is not None:
        raise DatasetError(reason, f"Check the path, or use {BUNDLED_DATASET}.")
    found = find_dataset_files(source, split)
    size = sum(file.path.stat().st_size for file in found.files)
    info = DatasetInfo(
        source=source, split=split, description=found.description, files=len(found.files), size_bytes=size
    )
    if source == BUNDLED_DATASET:
        return info
    if size == 0:
        raise DatasetError(f"The dataset {source} is empty.", f"Give a file with text, or use {BUNDLED_DATASET}.")
    text_files.require_readers(found.files)
    problems = [problem for file in found.files[:_PROBED] if (problem := _probe(file)) is not None]
    # The training leaves unusable files of a directory out and reports them; only a dataset without any other is refused.
    if problems and len(problems) == len(found.files):
        raise problems[0]
    # A byte-level tokenizer makes at least one byte of each token, so this bound is never too strict.
    if size < 2 * context_length and not any(map(_is_packed, found.files)):
        raise DatasetError(
            f"The dataset {source} has {size} bytes, too little for two contexts of {context_length} tokens "
            "(one to train on, one held out).",
            "Give more text or a smaller context_length.",
        )
    return info


def list_datasets() -> list[DatasetInfo]:
    """The bundled dataset, then those in the local Hub cache. Files and directories are given by their path instead."""
    found = [find_dataset(BUNDLED_DATASET, 1)]
    for reference in list_references("datasets"):
        for split in (EVERYTHING, "validation", "test"):
            try:
                found.append(find_dataset(reference, 1, split))
                break
            except DatasetError:
                continue  # the cache also holds datasets of pictures, and parts of datasets
    return found


def _is_packed(file: SourceFile) -> bool:
    """Whether it may hold more text than it has bytes."""
    return file.kind.has_columns or file.compression is not text_files.Compression.NONE


def _probe(file: SourceFile) -> DatasetError | None:
    """The fault of a file, as far as its first bytes show one.

    Raises:
        DatasetError: it cannot be opened; the user must correct this even if other files are usable.
    """
    try:
        with text_files.opened(file) as stream:
            head = stream.read(text_files.HEAD_BYTES)
            if not file.kind.has_columns:
                text_files.require_text(file, head)
    except UnusableFile as error:
        return error
    return None
