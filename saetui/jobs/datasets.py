"""The datasets that can be chosen here, looked at without reading them whole."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import msgspec

from saetui.bundled import stdlib_files
from saetui.errors import DatasetError

BUNDLED_DATASET = "bundled:stdlib"
ENDINGS = (".txt", ".jsonl", ".json", ".csv")
_PROBE_BYTES = 8192


class DatasetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a form needs to know of a dataset. `size_bytes`: on disk, compressed files as they are."""

    source: str
    description: str
    files: int
    size_bytes: int


def find_dataset(source: str, context_length: int) -> DatasetInfo:
    """Look at a dataset: its files, their sizes, the first bytes of each of the first few.

    What only reading it whole can tell (a damaged row, too few tokens) the training tells.

    Raises:
        DatasetError: missing, empty, binary, of no known kind, or shorter than two contexts; with the way out.
    """
    if source == BUNDLED_DATASET:
        files = stdlib_files()
        return _info(source, "the Python standard library's source", files)
    if source.startswith("bundled:"):
        raise DatasetError(f"{source} is not bundled.", f"The bundled text is {BUNDLED_DATASET}.")
    path = Path(source).expanduser()
    files = _files(source, path)
    info = _info(source, "a directory of text" if path.is_dir() else f"a {_ending(path)} file", files)
    if info.size_bytes == 0:
        raise DatasetError(f"The dataset {source} is empty.", f"Give a file with text, or use {BUNDLED_DATASET}.")
    for file in files[:20]:
        _probe(file)
    compressed = any(file.suffix == ".gz" for file in files)
    # A byte-level tokenizer makes at least one byte of each token, so this bound is never too strict.
    if not compressed and info.size_bytes < 2 * context_length:
        raise DatasetError(
            f"The dataset {source} has {info.size_bytes} bytes, too little for two contexts of {context_length} tokens "
            "(one to train on, one held out).",
            "Give more text or a smaller context_length.",
        )
    return info


def list_datasets() -> list[DatasetInfo]:
    """What every machine has; files and directories are given by their path."""
    return [find_dataset(BUNDLED_DATASET, 1)]


def is_text_file(path: Path) -> bool:
    """Whether a file's name says that saetui can read it."""
    return _ending(path) in ENDINGS


def _ending(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix == ".gz" else path.suffix.lower()


def _files(source: str, path: Path) -> list[Path]:
    known = ", ".join(ENDINGS)
    if path.is_file():
        if not is_text_file(path):
            raise DatasetError(
                f"{source} is of no kind that saetui reads.", f"Give a file that ends in {known}, each also with .gz."
            )
        return [path]
    if not path.is_dir():
        raise DatasetError(
            f"There is no dataset {source}.", f"Give a file, a directory of {known} files, or {BUNDLED_DATASET}."
        )
    files = sorted(entry for entry in path.rglob("*") if entry.is_file() and is_text_file(entry))
    if not files:
        raise DatasetError(f"The directory {source} has no {known} files.", "Give a directory that holds text.")
    return files


def _info(source: str, description: str, files: list[Path]) -> DatasetInfo:
    size = sum(file.stat().st_size for file in files)
    return DatasetInfo(source=source, description=description, files=len(files), size_bytes=size)


def _probe(file: Path) -> None:
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rb") as stream:
                head = stream.read(_PROBE_BYTES)
        else:
            with open(file, "rb") as plain:
                head = plain.read(_PROBE_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{file} cannot be read: {error}.", "Repair or remove the file.") from error
    if b"\0" in head:
        raise DatasetError(f"{file} is binary, not text.", "Give text in UTF-8, or remove the file from the directory.")
