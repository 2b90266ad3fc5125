"""Which files a dataset consists of: of what a user names, the files of known kinds that belong to a split."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from saetui import bundled
from saetui.errors import DatasetError
from saetui.sources.hub_cache import find_snapshot, is_hub_id
from saetui.sources.text_files import ENDINGS, KINDS, Compression, FileKind, SourceFile, recognise

BUNDLED_DATASET = "bundled:stdlib"
EVERYTHING = "train"
"""The default split. Where the names of a dataset's files name no split, it is all of them."""
_ROWS = frozenset({FileKind.JSON_LINES, FileKind.CSV, FileKind.TSV, FileKind.PARQUET, FileKind.ARROW})
_PROSE_AND_CODE = (".md", ".py")
"""Beside files of rows these describe the dataset, or made it; and test_x.py belongs to no split."""
_SPLIT_WORDS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""The words for a split in the names of files, as Hugging Face's datasets reads them."""


@dataclass(frozen=True)
class DatasetFiles:
    """The files of a dataset, in an order that depends on their names alone, and what the dataset is, in words."""

    description: str
    files: list[SourceFile]


def find_dataset_files(source: str, split: str = EVERYTHING) -> DatasetFiles:
    """Find the files of a dataset.

    Args:
        source: `bundled:stdlib`; a file; a directory, which is searched with all below it; a directory that
            `save_to_disk` wrote; or the Hub id of a dataset in the local cache. Left out are hidden files and directories,
            links to files that are read already, README.md and, beside files of rows, all .md and .py.
        split: which part. `train` reads all files where their names name no split.

    Raises:
        DatasetError: there is no such dataset, no file that saetui reads, or no such split.
    """
    path = Path(source).expanduser()
    try:
        if source.startswith("bundled:"):
            return DatasetFiles("the Python standard library's source", _bundled(source, split))
        if path.is_file():
            file = recognise(path)
            if file is None:
                raise DatasetError(f"{path} is of no kind that saetui reads.", f"It reads {KINDS}.")
            return DatasetFiles(f"a {_ending(path)} file", _of_split([file], path, source, split))
        if path.is_dir():
            return DatasetFiles(*_in_directory(source, path, split))
        may_be_on_the_hub = is_hub_id(source) and "/" in source
        snapshot = find_snapshot("datasets", source) if may_be_on_the_hub and not path.exists() else None
        if snapshot is not None:
            return DatasetFiles("downloaded from the Hub", _in_directory(source, snapshot, split)[1])
    except PermissionError as error:
        raise DatasetError(
            f"The dataset {source} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    fetch = f", download it where there is a network (saetui datasets --download {source})" if may_be_on_the_hub else ""
    raise DatasetError(
        f"There is no dataset {source}.",
        f"Give a file or a directory of text on this machine{fetch}, or {BUNDLED_DATASET}.",
    )


def _bundled(source: str, split: str) -> list[SourceFile]:
    if source != BUNDLED_DATASET:
        raise DatasetError(f"There is no bundled dataset {source!r}.", f"The bundled text is {BUNDLED_DATASET}.")
    if split != EVERYTHING:
        raise _no_such_split(source, split, ())
    return [SourceFile(path, FileKind.TEXT, optional=True) for path in bundled.stdlib_files()]


def _in_directory(source: str, directory: Path, split: str) -> tuple[str, list[SourceFile]]:
    if (directory / "dataset_dict.json").is_file() or (directory / "state.json").is_file():
        return "a saved dataset", _saved(directory, split)
    paths = _files_below(directory)
    files = [file for path in paths if (file := recognise(path, optional=True)) is not None]
    if not files:
        there = f"none of its {len(paths)} files is of a kind that saetui reads" if paths else "it is empty"
        raise DatasetError(f"The directory {source} has no text: {there}.", f"Put text there: {KINDS}.")
    files = _distinct(_of_split(_documents(files), directory, source, split))
    broken = next((file.path for file in files if not file.path.exists()), None)
    if broken is not None:
        raise DatasetError(
            f"{broken} is a link to a file that is not there.",
            "Download the dataset again if it was not finished, or take the link out.",
        )
    return "a directory of text", files


def _files_below(directory: Path) -> list[Path]:
    """All files, sorted by name, with broken links. Hidden ones are left out; links to directories are not followed.

    Raises:
        DatasetError: the directory, or one below it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    found = []
    try:
        for place, below, names in os.walk(directory, onerror=refuse):
            below[:] = [name for name in below if not name.startswith(".")]
            paths = [Path(place, name) for name in names if not name.startswith(".")]
            found += [path for path in paths if path.is_file() or not path.exists()]
    except OSError as error:
        raise DatasetError(
            f"{error.filename} in the dataset {directory} cannot be read: {error.strerror}.",
            "Make it readable, or take it out of the dataset.",
        ) from error
    return sorted(found)


def _documents(files: Sequence[SourceFile]) -> list[SourceFile]:
    """The files without those that describe the dataset, unless there are no others."""
    left_out = _PROSE_AND_CODE if any(file.kind in _ROWS for file in files) else ()
    documents = [file for file in files if _ending(file.path) not in left_out and file.path.name.lower() != "readme.md"]
    return documents or list(files)


def _distinct(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Each file once, however many links lead to it; the file itself rather than a link to it."""
    seen: set[tuple[int, int]] = set()
    chosen: set[Path] = set()
    for file in sorted(files, key=lambda file: file.path.is_symlink()):
        try:
            status = file.path.stat()
        except FileNotFoundError:
            chosen.add(file.path)  # The caller refuses broken links.
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            chosen.add(file.path)
    return [file for file in files if file.path in chosen]


def _ending(path: Path) -> str:
    return next(suffix for suffix in reversed(path.suffixes) if suffix.lower() in ENDINGS).lower()


def _saved(directory: Path, split: str) -> list[SourceFile]:
    """The files of a dataset that `save_to_disk` wrote, in the order that it says."""
    try:
        several = (directory / "dataset_dict.json").is_file()
        if several:
            splits = json.loads((directory / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            if split not in splits:
                raise _no_such_split(str(directory), split, [str(name) for name in splits])
            directory = directory / split
        state = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        only = state.get("_split")
        # A user who names the directory of one split has chosen that split.
        if not several and split not in (EVERYTHING, only):
            raise _no_such_split(str(directory), split, [only] if isinstance(only, str) else [])
        # Only the name: a path from inside a file is not followed.
        paths = [directory / Path(entry["filename"]).name for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"The dataset {directory} is damaged: {error}.", "Save it again with save_to_disk."
        ) from error
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(f"The dataset {directory} lacks its file {missing[0].name}.", "Copy the directory again.")
    return [SourceFile(path, FileKind.ARROW, Compression.NONE) for path in paths]


def _of_split(files: Sequence[SourceFile], root: Path, source: str, split: str) -> list[SourceFile]:
    """The files that name the split in their own or their directory's name: `data/train-00000.parquet`, `x-test.arrow`.

    Raises:
        DatasetError: the files belong to other splits, or to none and another than `train` is asked for.
    """
    named = [file for file in files if _names_split(file.path, root, _SPLIT_WORDS.get(split, (split,)))]
    if named:
        return named
    there = [
        name for name, words in _SPLIT_WORDS.items() if any(_names_split(file.path, root, words) for file in files)
    ]
    if there or split != EVERYTHING:
        raise _no_such_split(source, split, there)
    return list(files)


def _names_split(path: Path, root: Path, words: Sequence[str]) -> bool:
    """Whether a name below the dataset's root has one of the words. Names above the root do not count."""
    if path.suffix.lower() in _PROSE_AND_CODE:
        return False
    inside = path.relative_to(root).parts if path != root else (path.name,)
    place = "/".join(inside[-2:]).lower()
    return any(re.search(rf"(?:^|[^a-z]){re.escape(word.lower())}(?:[^a-z]|$)", place) for word in words)


def _no_such_split(source: str, split: str, there: Sequence[str]) -> DatasetError:
    if there:
        return DatasetError(f"The dataset {source} has no split {split!r}.", f"It has {', '.join(there)}.")
    return DatasetError(
        f"The dataset {source} has no split {split!r}: the names of its files name none.",
        f"Leave the split out ({EVERYTHING!r} reads all), or name the file or directory that you mean.",
    )
