"""Files of text: their kinds by the ends of their names, and their bytes, uncompressed."""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib.util
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from saetui.errors import DatasetError
from saetui.formats.regular import LFS_POINTER, open_regular

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class FileKind(str, Enum):
    """How the documents lie in a file."""

    TEXT = "text"
    """One document in UTF-8."""
    JSON_LINES = "jsonl"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    ARROW = "arrow"
    """Arrow's stream format, which `save_to_disk` of datasets writes, or its file format (Feather)."""

    @property
    def has_columns(self) -> bool:
        """Whether pyarrow reads the file. Such files are compressed inside, never as a whole."""
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
COMPRESSIONS = {f".{way.value}": way for way in Compression if way is not Compression.NONE}
KINDS = f"{' '.join(ENDINGS)}, all but the last three also with {' '.join(COMPRESSIONS)}"
"""The kinds of file, for messages."""
DOWNLOADED = tuple(
    f"*{ending}{packed}"
    for ending, kind in ENDINGS.items()
    # In a repository of the Hub these are the dataset's card and its loading script.
    if ending not in (".md", ".py")
    for packed in ("", *(() if kind.has_columns else COMPRESSIONS))
)
"""The files of a dataset on the Hub that are downloaded. No other file of it is read."""

HEAD_BYTES = 8192
"""How much of a file's beginning shows whether the file is text."""
COPY_AGAIN = "Check its permissions and that it was copied whole."

_MARKS = (
    # The longer ones first: UTF-32's mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "UTF-32LE"),
    (codecs.BOM_UTF32_BE, "UTF-32BE"),
    (codecs.BOM_UTF16_LE, "UTF-16LE"),
    (codecs.BOM_UTF16_BE, "UTF-16BE"),
)
_LARGEST_WINDOW = 2**31
"""Bytes that `zstd --long=31` needs, with which large corpora are compressed."""
_ZSTANDARD_CHUNK = 2**14


@dataclass(frozen=True)
class SourceFile:
    """A file with text.

    Attributes:
        path: where the file is.
        kind: how to read it.
        compression: how it is compressed as a whole.
        optional: whether an unusable file is skipped and counted instead of refused. Files that the user did not name
            themselves are optional.
    """

    path: Path
    kind: FileKind
    compression: Compression = Compression.NONE
    optional: bool = False


class UnusableFile(DatasetError):
    """A file is damaged, of another kind than its name says, or without the field of the text."""


def recognise(path: Path, *, optional: bool = False) -> SourceFile | None:
    """The kind of a file by its name. None where saetui reads no such file."""
    compression = COMPRESSIONS.get(path.suffix.lower(), Compression.NONE)
    ending = (Path(path.stem) if compression is not Compression.NONE else path).suffix.lower()
    kind = ENDINGS.get(ending)
    if kind is None or (kind.has_columns and compression is not Compression.NONE):
        return None
    return SourceFile(path, kind, compression, optional)


@contextmanager
def opened(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file for reading, uncompressed on the way.

    Raises:
        UnusableFile: the file is a Git LFS pointer, or its compressed content is damaged. The caller may meet damage while
            reading.
        DatasetError: the file cannot be read, or the package that uncompresses it is not installed.
    """
    require_readers([file])
    try:
        with open_regular(file.path) as raw:
            _refuse_pointer(file, raw.read(len(LFS_POINTER)))
            raw.seek(0)
            with _uncompressed(file, raw) as stream:
                yield stream
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise UnusableFile(f"{file.path} cannot be read: {error}.", COPY_AGAIN) from error
    except OSError as error:
        # Errors of gzip and bz2 about the content have no number of the system.
        kind = DatasetError if error.errno is not None else UnusableFile
        raise kind(f"{file.path} cannot be read: {error.strerror or error}.", COPY_AGAIN) from error


def require_readers(files: list[SourceFile]) -> None:
    """Check that the packages that read these files are installed.

    Raises:
        DatasetError: one is not.
    """
    columns = next((file for file in files if file.kind.has_columns), None)
    if columns is not None and importlib.util.find_spec("pyarrow") is None:
        raise DatasetError(
            f"{columns.path} is read with pyarrow, which is not installed.",
            "Install the extra: pip install 'saetui[datasets]'.",
        )
    packed = next((file for file in files if file.compression is Compression.ZSTANDARD), None)
    if packed is not None and importlib.util.find_spec("zstandard") is None:
        raise DatasetError(
            f"{packed.path} is uncompressed with zstandard, which is not installed.",
            "Install the extra: pip install 'saetui[zstd]', or uncompress it: unzstd FILE.",
        )


def require_text(file: SourceFile, head: bytes) -> None:
    """Check that the first bytes of a file, uncompressed, can be UTF-8 text.

    Raises:
        UnusableFile: they are binary, or in an encoding of two or four bytes.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            raise UnusableFile(
                f"{file.path} is text in {encoding}, not in UTF-8.",
                f"Convert it: iconv -f {encoding[:-2]} -t UTF-8 FILE > NEW.",
            )
    if b"\0" in head:
        raise binary(file)


def binary(file: SourceFile) -> UnusableFile:
    """The refusal of a file with a NUL byte, which no UTF-8 text has."""
    return UnusableFile(
        f"{file.path} is binary, not text: it contains a NUL byte.",
        "Take it out of the dataset, or convert it to UTF-8 if it is text in UTF-16.",
    )


def _refuse_pointer(file: SourceFile, head: bytes) -> None:
    if head == LFS_POINTER:
        raise UnusableFile(
            f"{file.path} is a Git LFS pointer, not the file.", "Fetch the file: git lfs pull, in its repository."
        )


def _uncompressed(file: SourceFile, raw: BinaryIO) -> BinaryIO:
    if file.compression is Compression.GZIP:
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    if file.compression is Compression.BZIP2:
        return cast(BinaryIO, bz2.BZ2File(raw))
    if file.compression is Compression.XZ:
        return cast(BinaryIO, lzma.LZMAFile(raw))
    if file.compression is Compression.ZSTANDARD:
        return cast(BinaryIO, io.BufferedReader(_Zstandard(raw), 2**18))
    return raw


class _Zstandard(io.RawIOBase):
    """The text of consecutive frames. Unlike the library's own reader this one notices a last frame that is cut short."""

    def __init__(self, raw: BinaryIO) -> None:
        # Imported here: the package is optional.
        import zstandard

        self._damage: type[Exception] = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
        self._raw = raw
        self._frame: Any = None
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._text:
            ended = self._frame is None or self._frame.eof
            data = self._frame.unused_data if ended and self._frame is not None else b""
            data = data or self._raw.read(_ZSTANDARD_CHUNK)
            if not data and ended:
                return 0
            if not data:
                raise EOFError("it ends before the end of its last frame")
            if ended:
                self._frame = self._frames.decompressobj()
            try:
                self._text = memoryview(self._frame.decompress(data))
            except self._damage as error:
                raise EOFError(str(error)) from error
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._text))
        view[:count] = self._text[:count]
        self._text = self._text[count:]
        return count
