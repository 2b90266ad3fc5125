"""From what a user names as a dataset to a list of files of known kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from saetui import bundled
from saetui.errors import DatasetError
from saetui.formats.directories import files_below
from saetui.sources.files import ENDINGS, KINDS, Compression, FileKind, SourceFile, recognise
from saetui.sources.splits import EVERYTHING, files_of_split, no_such_split

__all__ = ["BUNDLED", "FoundDataset", "find_dataset_files"]

BUNDLED = "bundled:stdlib"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_ROWS = frozenset({FileKind.JSON_LINES, FileKind.CSV, FileKind.TSV, FileKind.PARQUET, FileKind.ARROW})
_BESIDE_ROWS = (".md", ".py")
"""In a directory of rows those are what it says about itself, and the scripts that made it."""


@dataclass(frozen=True)
class FoundDataset:
    """What a dataset is, in words, and its files, in an order that depends on their names alone."""

    description: str
    files: list[SourceFile]


def find_dataset_files(source: str, split: str, hub: Callable[[str], Path | None]) -> FoundDataset:
    """Finds the files of a dataset.

    Args:
        source: `bundled:stdlib`, a file, a directory, which is searched with all below it, a directory that
            `save_to_disk` wrote, or the Hub id of a dataset that lies in the local cache. Hidden files and directories, and
            links to what is read already, are left out; so are README.md and, beside files of rows, all .md and .py.
        split: which part; `train` reads all files where their names say no split.
        hub: where a dataset of the Hub lies in the local cache; None where it does not.

    Raises:
        DatasetError: there is nothing, nothing that can be read, or no such split.
    """
    try:
        return _found(source, Path(source).expanduser(), split, hub)
    except PermissionError as error:
        raise DatasetError(
            f"The dataset {source} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error


def _found(source: str, path: Path, split: str, hub: Callable[[str], Path | None]) -> FoundDataset:
    if source.startswith("bundled:"):
        return FoundDataset("the Python standard library's source", _bundled(source, split))
    if path.is_file():
        file = recognise(path)
        if file is None:
            raise DatasetError(f"{path} is of no kind that saetui reads.", f"It reads {KINDS}.")
        return FoundDataset(f"a {_ending(path)} file", files_of_split([file], path, source, split))
    if path.is_dir():
        return FoundDataset(*_in_directory(source, path, split))
    snapshot = hub(source) if not path.exists() and _HUB_ID.fullmatch(source) and recognise(path) is None else None
    if snapshot is None:
        raise _missing(source, path)
    return FoundDataset("downloaded from the Hub", _in_directory(source, snapshot, split)[1])


def _missing(source: str, path: Path) -> DatasetError:
    fetch = ""
    if _HUB_ID.fullmatch(source) and recognise(path) is None:
        fetch = f", download it where there is a network (saetui datasets --download {source})"
    return DatasetError(
        f"There is no dataset {source}.", f"Give a file or a directory of text on this machine{fetch}, or {BUNDLED}."
    )


def _bundled(source: str, split: str) -> list[SourceFile]:
    if source != BUNDLED:
        raise DatasetError(f"There is no bundled dataset {source!r}.", f"The bundled text is {BUNDLED}.")
    if split != EVERYTHING:
        raise no_such_split(source, split, ())
    return [SourceFile(path, FileKind.TEXT, optional=True) for path in bundled.stdlib_files()]


def _in_directory(source: str, directory: Path, split: str) -> tuple[str, list[SourceFile]]:
    if (directory / "dataset_dict.json").is_file() or (directory / "state.json").is_file():
        return "a saved dataset", _saved(directory, split)
    paths = files_below(directory)
    files = [file for path in paths if (file := recognise(path, optional=True)) is not None]
    if not files:
        there = f"none of its {len(paths)} files is of a kind that saetui reads" if paths else "it is empty"
        raise DatasetError(f"The directory {source} has no text: {there}.", f"Put text there: {KINDS}.")
    files = _distinct(files_of_split(_documents(files), directory, source, split))
    broken = next((file.path for file in files if not file.path.exists()), None)
    if broken is not None:
        raise DatasetError(
            f"{broken} is a link to a file that is not there.",
            "Download the dataset again if it was not finished, or take the link out.",
        )
    return "a directory of text", files


def _documents(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Without what is written about a dataset beside it, unless there is nothing else."""
    left_out = _BESIDE_ROWS if any(file.kind in _ROWS for file in files) else ()
    documents = [file for file in files if _ending(file.path) not in left_out and file.path.name.lower() != "readme.md"]
    return documents or list(files)


def _distinct(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Each file once, however many links lead to it; a file itself rather than a link to it."""
    seen: set[tuple[int, int]] = set()
    chosen: set[Path] = set()
    for file in sorted(files, key=lambda file: file.path.is_symlink()):
        try:
            status = file.path.stat()
        except FileNotFoundError:
            chosen.add(file.path)  # A link that leads nowhere is told of.
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            chosen.add(file.path)
    return [file for file in files if file.path in chosen]


def _ending(path: Path) -> str:
    return next(suffix for suffix in reversed(path.suffixes) if suffix.lower() in ENDINGS).lower()


def _saved(directory: Path, split: str) -> list[SourceFile]:
    """The files of a dataset that `save_to_disk` wrote, in their own order."""
    try:
        several = (directory / "dataset_dict.json").is_file()
        if several:
            splits = json.loads((directory / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
            if split not in splits:
                raise no_such_split(str(directory), split, [str(name) for name in splits])
            directory = directory / split
        state = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        alone = state.get("_split")
        # Whoever names the directory of one split has chosen it.
        if not several and split not in (EVERYTHING, alone):
            raise no_such_split(str(directory), split, [alone] if isinstance(alone, str) else [])
        # Names alone: a path from inside a file is not followed.
        paths = [directory / Path(entry["filename"]).name for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"The dataset {directory} is damaged: {error}.", "Save it again with save_to_disk."
        ) from error
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(f"The dataset {directory} lacks its file {missing[0].name}.", "Copy the directory again.")
    return [SourceFile(path, FileKind.ARROW, Compression.NONE) for path in paths]
