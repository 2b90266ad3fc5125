"""The files that text is read from: their kinds, by what their names end in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from saetui.errors import DatasetError

__all__ = ["DOWNLOADED", "ENDINGS", "KINDS", "Compression", "FileKind", "SourceFile", "UnusableFile", "recognise"]


class FileKind(str, Enum):
    """How the documents lie in a file."""

    TEXT = "text"
    """One document, of UTF-8."""
    JSON_LINES = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    ARROW = "arrow"
    """Arrow's stream format, as datasets' `save_to_disk` writes it, or its file format (Feather)."""

    @property
    def has_columns(self) -> bool:
        """Whether it is read with pyarrow; such files are compressed inside, never as a whole."""
        return self in (FileKind.PARQUET, FileKind.ARROW)


class Compression(str, Enum):
    """How a file is compressed as a whole."""

    NONE = ""
    GZIP = "gz"
    BZIP2 = "bz2"
    XZ = "xz"
    ZSTANDARD = "zst"


ENDINGS = {
    ".txt": FileKind.TEXT,
    ".md": FileKind.TEXT,
    ".py": FileKind.TEXT,
    ".jsonl": FileKind.JSON_LINES,
    ".ndjson": FileKind.JSON_LINES,
    ".json": FileKind.JSON,
    ".csv": FileKind.CSV,
    ".tsv": FileKind.TSV,
    ".parquet": FileKind.PARQUET,
    ".arrow": FileKind.ARROW,
    ".feather": FileKind.ARROW,
}
_COMPRESSIONS = {f".{way.value}": way for way in Compression if way is not Compression.NONE}
KINDS = f"{' '.join(ENDINGS)}, all but the last three also with {' '.join(_COMPRESSIONS)}"
"""The kinds of file in words."""
DOWNLOADED = tuple(
    f"*{ending}{packed}"
    for ending, kind in ENDINGS.items()
    # In a repository of the Hub those are its card and its loading script.
    if ending not in (".md", ".py")
    for packed in ("", *(() if kind.has_columns else _COMPRESSIONS))
)
"""What is fetched of a dataset on the Hub: nothing else of it is read."""


@dataclass(frozen=True)
class SourceFile:
    """A file with text.

    Attributes:
        path: where it is.
        kind: how it is read.
        compression: how it is compressed as a whole.
        optional: whether it is skipped and counted, rather than refused, when it is unusable: it was not named itself.
    """

    path: Path
    kind: FileKind
    compression: Compression = Compression.NONE
    optional: bool = False


class UnusableFile(DatasetError):
    """A file is not what its name says, damaged, or without the field of the text."""


def recognise(path: Path, *, optional: bool = False) -> SourceFile | None:
    """The file as what its name says; None where saetui reads no such file."""
    compression = _COMPRESSIONS.get(path.suffix.lower(), Compression.NONE)
    ending = (Path(path.stem) if compression is not Compression.NONE else path).suffix.lower()
    kind = ENDINGS.get(ending)
    if kind is None or (kind.has_columns and compression is not Compression.NONE):
        return None
    return SourceFile(path, kind, compression, optional)
