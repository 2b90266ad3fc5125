"""The datasets that can be chosen here, looked at without reading them whole."""

from __future__ import annotations

import gzip
import importlib.util
import re
import zlib
from pathlib import Path

import msgspec

from saetui.bundled import stdlib_files
from saetui.directories import files_below
from saetui.errors import DatasetError
from saetui.jobs.hub_cache import find_snapshot, is_hub_id, list_references

BUNDLED_DATASET = "bundled:stdlib"
ENDINGS = (".txt", ".jsonl", ".json", ".csv")
"""Text, each also with .gz."""
COLUMN_ENDINGS = (".parquet", ".arrow")
"""Read with pyarrow, which the extra `datasets` brings."""
_PROBE_BYTES = 8192
_PROBED = 20


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a form needs to know of a dataset. `size_bytes`: on disk, compressed files as they are."""

    source: str
    description: str
    files: int
    size_bytes: int


def find_dataset(source: str, context_length: int, split: str = "train") -> DatasetInfo:
    """Look at a dataset: its files, their sizes, the first bytes of each of the first few.

    What only reading it whole can tell (a damaged row, too few tokens) the training tells.

    Args:
        source: as a spec names it.
        context_length: tokens in a context, for the least that there must be.
        split: the part of a saved or downloaded dataset.

    Raises:
        DatasetError: missing, empty, binary, of no known kind, or shorter than two contexts; with the way out.
    """
    if source == BUNDLED_DATASET:
        files = stdlib_files()
        return _info(source, "the Python standard library's source", files)
    if source.startswith("bundled:"):
        raise DatasetError(f"{source} is not bundled.", f"The bundled text is {BUNDLED_DATASET}.")
    try:
        description, files = _files(source, Path(source).expanduser(), split)
    except PermissionError as error:
        raise DatasetError(
            f"The dataset {source} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    info = _info(source, description, files)
    if info.size_bytes == 0:
        raise DatasetError(f"The dataset {source} is empty.", f"Give a file with text, or use {BUNDLED_DATASET}.")
    _refuse_without_reader(source, files)
    text = [file for file in files if _ending(file) not in COLUMN_ENDINGS]
    problems = [problem for file in text[:_PROBED] if (problem := _probe(file)) is not None]
    # What is unusable in a directory is left out of it, and told by the training, unless nothing is left.
    if problems and len(problems) == len(files):
        raise problems[0]
    compressed = len(text) < len(files) or any(_is_compressed(file) for file in text)
    # A byte-level tokenizer makes at least one byte of each token, so this bound is never too strict.
    if not compressed and info.size_bytes < 2 * context_length:
        raise DatasetError(
            f"The dataset {source} has {info.size_bytes} bytes, too little for two contexts of {context_length} tokens "
            "(one to train on, one held out).",
            "Give more text or a smaller context_length.",
        )
    return info


def list_datasets() -> list[DatasetInfo]:
    """What every machine has, and what the Hub's cache holds; files and directories are given by their path."""
    found = [find_dataset(BUNDLED_DATASET, 1)]
    for reference in list_references("datasets"):
        try:
            found.append(find_dataset(reference, 1))
        except DatasetError:
            continue  # the cache also holds datasets of pictures, or parts of one
    return found


def is_text_file(path: Path) -> bool:
    """Whether a file's name says that saetui can read it."""
    return _ending(path) in (ENDINGS if _is_compressed(path) else (*ENDINGS, *COLUMN_ENDINGS))


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _ending(path: Path) -> str:
    return (Path(path.stem) if _is_compressed(path) else path).suffix.lower()


def _files(source: str, path: Path, split: str) -> tuple[str, list[Path]]:
    """What a dataset is, in words, and its files."""
    known = ", ".join((*ENDINGS, *COLUMN_ENDINGS))
    if path.is_file():
        if not is_text_file(path):
            raise DatasetError(
                f"{source} is of no kind that saetui reads.",
                f"Give a file that ends in {known}; text may also end in .gz.",
            )
        return f"a {_ending(path)} file", [path]
    if (path / "dataset_dict.json").is_file() and not (path / split).is_dir():
        there = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        raise DatasetError(f"The dataset {source} has no split {split!r}.", f"It has {', '.join(there)}.")
    for saved in (path, path / split):
        if (saved / "state.json").is_file():
            return "a saved dataset", sorted(saved.glob("*.arrow"))
    snapshot = find_snapshot("datasets", source) if not path.exists() and "/" in source else None
    directory = path if snapshot is None else snapshot
    if not directory.is_dir():
        hint = f", download it with `saetui datasets --download {source}`" if is_hub_id(source) else ""
        raise DatasetError(
            f"There is no dataset {source}.", f"Give a file, a directory of {known} files{hint}, or {BUNDLED_DATASET}."
        )
    files = [file for file in files_below(directory) if is_text_file(file)]
    if not files:
        raise DatasetError(f"The directory {source} has no {known} files.", "Give a directory that holds text.")
    if snapshot is None:
        return "a directory of text", files
    # Hub repositories name the split in the path; where none does, all files belong to it.
    named = [file for file in files if re.search(rf"(?:^|[^a-z0-9]){re.escape(split)}(?:[^a-z0-9]|$)", _tail(file))]
    return "downloaded from the Hub", named or files


def _tail(file: Path) -> str:
    return "/".join(file.parts[-2:]).lower()


def _refuse_without_reader(source: str, files: list[Path]) -> None:
    if any(_ending(file) in COLUMN_ENDINGS for file in files) and importlib.util.find_spec("pyarrow") is None:
        raise DatasetError(
            f"{source} is read with pyarrow, which is not installed.",
            "Install the extra: pip install 'saetui[datasets]'.",
        )


def _info(source: str, description: str, files: list[Path]) -> DatasetInfo:
    size = sum(file.stat().st_size for file in files)
    return DatasetInfo(source=source, description=description, files=len(files), size_bytes=size)


def _probe(file: Path) -> DatasetError | None:
    """What makes a file unusable, as far as its first bytes tell.

    Raises:
        DatasetError: it cannot be opened, which is for the user to mend whatever else there is.
    """
    try:
        with gzip.open(file, "rb") if _is_compressed(file) else open(file, "rb") as stream:
            head = stream.read(_PROBE_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return DatasetError(f"{file} cannot be read: {error}.", "Repair or remove the file.")
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error}.", "Repair or remove the file.") from error
    if b"\0" in head:
        return DatasetError(
            f"{file} is binary, not text.", "Give text in UTF-8, or remove the file from the directory."
        )
    return None
