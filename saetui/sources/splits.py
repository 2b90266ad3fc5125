"""Which part of a dataset a file belongs to, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from saetui.errors import DatasetError
from saetui.sources.files import SourceFile

__all__ = ["EVERYTHING", "files_of_split", "no_such_split"]

EVERYTHING = "train"
"""The split that is read where none is asked for; of files that belong to no split it is all."""
_WORDS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""How the names of files say that they belong to a split, as Hugging Face's datasets reads them."""
_WITHOUT_SPLITS = (".md", ".py")
"""Prose and code: test_x.py is no part of a dataset that is held out."""


def files_of_split(files: Sequence[SourceFile], root: Path, source: str, split: str) -> list[SourceFile]:
    """The files whose names, or whose directories' names, say the split: `data/train-00000-of-00001.parquet`, `x-test.arrow`.

    Args:
        files: all files of a dataset.
        root: where they lie; what stands in its own path says nothing.
        source: what the user named.
        split: what is asked for.

    Raises:
        DatasetError: the files belong to other splits, or to none and another than `train` is asked for.
    """
    named = [file for file in files if _says(file.path, root, _WORDS.get(split, (split,)))]
    if named:
        return named
    there = [name for name, words in _WORDS.items() if any(_says(file.path, root, words) for file in files)]
    if there or split != EVERYTHING:
        raise no_such_split(source, split, there)
    return list(files)


def no_such_split(source: str, split: str, there: Sequence[str]) -> DatasetError:
    """The refusal of a split, with those that there are."""
    if there:
        return DatasetError(f"The dataset {source} has no split {split!r}.", f"It has {', '.join(there)}.")
    return DatasetError(
        f"The dataset {source} has no split {split!r}: the names of its files say none.",
        f"Leave the split out ({EVERYTHING!r} reads all), or name the file or directory that is meant.",
    )


def _says(path: Path, root: Path, words: Sequence[str]) -> bool:
    if path.suffix.lower() in _WITHOUT_SPLITS:
        return False
    inside = path.relative_to(root).parts if path != root else (path.name,)
    place = "/".join(inside[-2:]).lower()
    return any(re.search(rf"(?:^|[^a-z]){re.escape(word.lower())}(?:[^a-z]|$)", place) for word in words)
