"""The bytes of a file of text, uncompressed; and what its first ones tell."""

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
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from saetui.errors import DatasetError
from saetui.formats.regular import open_regular
from saetui.sources.files import Compression, SourceFile, UnusableFile

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["COPY_AGAIN", "HEAD_BYTES", "binary", "opened", "refuse_by_head", "refuse_without_reader"]

HEAD_BYTES = 8192
COPY_AGAIN = "Check its permissions and that it was copied whole."

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MARKS = (
    # The longer first: UTF-32's begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "UTF-32LE"),
    (codecs.BOM_UTF32_BE, "UTF-32BE"),
    (codecs.BOM_UTF16_LE, "UTF-16LE"),
    (codecs.BOM_UTF16_BE, "UTF-16BE"),
)
_LARGEST_WINDOW = 2**31
"""Bytes: what `zstd --long=31`, with which large corpora are compressed, needs."""
_ZSTANDARD_CHUNK = 2**14


@contextmanager
def opened(file: SourceFile) -> Iterator[BinaryIO]:
    """Opens a file for reading, uncompressed on the way.

    Raises:
        UnusableFile: it is a Git LFS pointer, or what is compressed in it is damaged, also while the caller reads it.
        DatasetError: it cannot be read, or what uncompresses it is not installed.
    """
    refuse_without_reader([file])
    try:
        with open_regular(file.path) as raw:
            _refuse_pointer(file, raw.read(len(_LFS_POINTER)))
            raw.seek(0)
            with _uncompressed(file, raw) as stream:
                yield stream
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise UnusableFile(f"{file.path} cannot be read: {error}.", COPY_AGAIN) from error
    except OSError as error:
        # What gzip and bz2 find wrong with a file has no number of the system's.
        kind = DatasetError if error.errno is not None else UnusableFile
        raise kind(f"{file.path} cannot be read: {error.strerror or error}.", COPY_AGAIN) from error


def refuse_without_reader(files: list[SourceFile]) -> None:
    """Makes sure that what reads these files is installed.

    Raises:
        DatasetError: it is not.
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


def refuse_by_head(file: SourceFile, head: bytes) -> None:
    """Refuses a file whose first bytes, uncompressed, are not those of UTF-8 text.

    Raises:
        UnusableFile: it is binary, or in an encoding of two or four bytes.
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
    """The refusal of a file that contains what no text in UTF-8 has."""
    return UnusableFile(
        f"{file.path} is binary, not text: it contains a NUL byte.",
        "Take it out of the dataset, or convert it to UTF-8 if it is text in UTF-16.",
    )


def _refuse_pointer(file: SourceFile, head: bytes) -> None:
    if head == _LFS_POINTER:
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
    """The text of frames that follow each other; unlike the library's own reader it tells when the last is cut short."""

    def __init__(self, raw: BinaryIO) -> None:
        # Only here: an optional package.
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
