"""From what a user names as a dataset to a list of files of known kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from saetui import bundled
from saetui.errors import DatasetError

__all__ = ["FileKind", "SourceFile", "find_files"]


class FileKind(str, Enum):
    """How the documents lie in a file."""

    TEXT = ".txt"
    JSON_LINES = ".jsonl"
    JSON = ".json"
    CSV = ".csv"


@dataclass(frozen=True)
class SourceFile:
    """A file with text.

    Attributes:
        path: where it is.
        kind: how it is read.
        compressed: whether it is gzipped.
        optional: whether it is skipped and counted, rather than refused, when it is not text.
    """

    path: Path
    kind: FileKind
    compressed: bool
    optional: bool = False


def find_files(source: str) -> list[SourceFile]:
    """Finds the files of a dataset, in an order that depends on their names alone.

    Args:
        source: `bundled:stdlib`, a file, or a directory, which is searched with all below it.

    Raises:
        DatasetError: there is nothing, or nothing that can be read.
    """
    if source.startswith("bundled:"):
        if source != "bundled:stdlib":
            raise DatasetError(f"There is no bundled dataset {source!r}.", "The bundled text is bundled:stdlib.")
        return [SourceFile(path, FileKind.TEXT, False, optional=True) for path in bundled.stdlib_files()]
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(
            f"The dataset {source} does not exist.",
            "Give a file or a directory on this machine, or choose bundled:stdlib.",
        )
    if path.is_dir():
        return _in_directory(path)
    file = _recognise(path)
    if file is None:
        raise DatasetError(f"{path} is of no kind that saetui reads.", _KINDS)
    return [file]


_KINDS = f"It reads {' '.join(kind.value for kind in FileKind)}, each also with .gz."


def _in_directory(directory: Path) -> list[SourceFile]:
    try:
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
    except OSError as error:
        raise DatasetError(
            f"The directory {directory} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    if not paths:
        raise DatasetError(f"The dataset directory {directory} is empty.", f"Put text files there. {_KINDS}")
    files = [file for file in map(_recognise, paths) if file is not None]
    if not files:
        raise DatasetError(f"None of the {len(paths)} files in {directory} is of a kind that saetui reads.", _KINDS)
    return files


def _recognise(path: Path) -> SourceFile | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = bool(suffixes) and suffixes[-1] == ".gz"
    if compressed:
        suffixes.pop()
    kinds = [kind for kind in FileKind if suffixes and kind.value == suffixes[-1]]
    return SourceFile(path, kinds[0], compressed) if kinds else None
