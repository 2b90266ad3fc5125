"""From what a user names as a dataset to a list of files of known kinds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from saetui import bundled
from saetui.directories import files_below
from saetui.errors import DatasetError

__all__ = ["FileKind", "SourceFile", "UnusableFile", "find_files"]


class FileKind(str, Enum):
    """How the documents lie in a file."""

    TEXT = ".txt"
    JSON_LINES = ".jsonl"
    JSON = ".json"
    CSV = ".csv"
    PARQUET = ".parquet"
    ARROW = ".arrow"
    """A file of a dataset that `save_to_disk` of Hugging Face's datasets wrote."""


PATTERNS = tuple(f"*{kind.value}{packed}" for kind in FileKind for packed in ("", ".gz"))
"""What the files of a dataset are called, of which nothing else is read."""


@dataclass(frozen=True)
class SourceFile:
    """A file with text.

    Attributes:
        path: where it is.
        kind: how it is read.
        compressed: whether it is gzipped.
        optional: whether it is skipped and counted, rather than refused, when it is unusable: it was not named itself.
    """

    path: Path
    kind: FileKind
    compressed: bool
    optional: bool = False


class UnusableFile(DatasetError):
    """A file is not what its name says, damaged, or without the field of the text."""


def find_files(source: str, split: str = "train") -> list[SourceFile]:
    """Finds the files of a dataset, in an order that depends on their names alone.

    Args:
        source: `bundled:stdlib`, a file, a directory, which is searched with all below it, a directory that
            `save_to_disk` wrote, or the Hub id of a dataset that lies in the local cache.
        split: which part of a saved or downloaded dataset; files and plain directories have none.

    Raises:
        DatasetError: there is nothing, or nothing that can be read.
    """
    if source.startswith("bundled:"):
        if source != "bundled:stdlib":
            raise DatasetError(f"There is no bundled dataset {source!r}.", "The bundled text is bundled:stdlib.")
        return [SourceFile(path, FileKind.TEXT, False, optional=True) for path in bundled.stdlib_files()]
    path = Path(source).expanduser()
    try:
        return _found(source, path, split)
    except PermissionError as error:
        raise DatasetError(
            f"The dataset {source} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error


def _found(source: str, path: Path, split: str) -> list[SourceFile]:
    if not path.exists() and _HUB_ID.fullmatch(source):
        return _of_split(_in_directory(_from_hub_cache(source)), source, split)
    if not path.exists():
        raise DatasetError(
            f"The dataset {source} does not exist.",
            "Give a file or a directory on this machine, or choose bundled:stdlib.",
        )
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _saved(path, split)
    if path.is_dir():
        return _in_directory(path)
    file = _recognise(path, optional=False)
    if file is None:
        raise DatasetError(f"{path} is of no kind that saetui reads.", _KINDS)
    return [file]


_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_KINDS = f"It reads {' '.join(kind.value for kind in FileKind)}, text also with .gz."
_SPLITS = ("train", "validation", "valid", "dev", "test")


def _from_hub_cache(reference: str) -> Path:
    # Takes longer to load than all else here, and few need it.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(reference, repo_type="dataset", local_files_only=True, allow_patterns=list(PATTERNS))
        )
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise DatasetError(
            f"{reference} is neither a file here nor a dataset in the local Hugging Face cache.",
            f"Download it where there is a network (saetui datasets --download {reference}), or give a file.",
        ) from error


def _of_split(files: list[SourceFile], reference: str, split: str) -> list[SourceFile]:
    """The files whose path names the split, as Hub repositories are laid out; all where none names any."""
    named = {split: [file for file in files if _names(file.path, split)] for split in (*_SPLITS, split)}
    if named[split] or not any(named.values()):
        return named[split] or files
    there = [name for name, found in named.items() if found]
    raise DatasetError(f"The dataset {reference} has no split {split!r}.", f"It has {', '.join(there)}.")


def _names(path: Path, split: str) -> bool:
    return (
        re.search(rf"(?:^|[^a-z0-9]){re.escape(split)}(?:[^a-z0-9]|$)", "/".join(path.parts[-2:]).lower()) is not None
    )


def _saved(directory: Path, split: str) -> list[SourceFile]:
    """The files of a dataset that `save_to_disk` wrote, in their own order."""
    try:
        if (directory / "dataset_dict.json").is_file():
            splits = json.loads((directory / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            if split not in splits:
                raise DatasetError(
                    f"The dataset {directory} has no split {split!r}.", f"It has {', '.join(map(str, splits))}."
                )
            directory = directory / split
        state = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        # Names alone: a path from inside a file is not followed.
        paths = [directory / Path(entry["filename"]).name for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"The dataset {directory} is damaged: {error}.", "Save it again with save_to_disk."
        ) from error
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(f"The dataset {directory} lacks its file {missing[0].name}.", "Copy the directory again.")
    return [SourceFile(path, FileKind.ARROW, False) for path in paths]


def _in_directory(directory: Path) -> list[SourceFile]:
    paths = files_below(directory)
    if not paths:
        raise DatasetError(f"The dataset directory {directory} is empty.", f"Put text files there. {_KINDS}")
    files = [file for path in paths if (file := _recognise(path, optional=True)) is not None]
    if not files:
        raise DatasetError(f"None of the {len(paths)} files in {directory} is of a kind that saetui reads.", _KINDS)
    return files


def _recognise(path: Path, optional: bool) -> SourceFile | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = bool(suffixes) and suffixes[-1] == ".gz"
    if compressed:
        suffixes.pop()
    kinds = [kind for kind in FileKind if suffixes and kind.value == suffixes[-1]]
    if not kinds or (compressed and kinds[0] in (FileKind.PARQUET, FileKind.ARROW)):
        return None
    return SourceFile(path, kinds[0], compressed, optional)
