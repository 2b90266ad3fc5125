"""Rows of fixed width in a file that only grows: their layout, and a reader that follows the file.

The first line has the format's name, a checksum (CRC-32, hexadecimal) and, as JSON, the sites and columns. A row has
fields of 8 bytes, little-endian: checksum and site (two uint32), step (uint64), a bit for each column that is present
(uint64), then one float64 for each column. So a million values take 8 MB, a torn tail shows by its length or its
checksum, a damaged row can be left out alone, an absent value is not NaN, and a reader needs only the standard library.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from saetui.errors import FormatError
from saetui.formats.regular import NotRegular, open_regular

COLUMN_LIMIT = 64
ROWS_AT_ONCE = 4096
"""Rows that are read at once: enough to be fast, few enough to spare memory."""

_MAGIC = b"saetui-metrics 2 "
_OLD_MAGIC = b"saetui-metrics 1 "
_HEADER_LIMIT = 1 << 16
_FIXED_FIELDS = 3
"""8-byte fields of a row before its values: checksum and site; step; presence."""


class Header(msgspec.Struct, frozen=True):
    """The sites and columns of a file's rows."""

    sites: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def fields(self) -> int:
        """8-byte fields of a row."""
        return _FIXED_FIELDS + len(self.columns)

    @property
    def width(self) -> int:
        """Bytes of a row."""
        return 8 * self.fields

    def line(self) -> bytes:
        """The first line of the file."""
        content = msgspec.json.encode(self)
        return b"%s%08x %s\n" % (_MAGIC, zlib.crc32(content), content)


class RowPacker:
    """Makes the bytes of rows with so many columns."""

    def __init__(self, columns: int) -> None:
        self._struct = struct.Struct(f"<IQQ{columns}d")

    def pack(self, site: int, step: int, present: int, values: list[float]) -> bytes:
        """One row. `present`: bit i is set where `values[i]` is a value."""
        body = self._struct.pack(site, step, present, *values)
        return struct.pack("<I", zlib.crc32(body)) + body


class SiteRows(NamedTuple):
    """The rows of one site in a block.

    Attributes:
        steps: uint64.
        present: uint64, a bit for each column.
        columns: float64, all columns.
    """

    steps: array[int]
    present: array[int]
    columns: list[array[float]]

    def values(self, row: int, names: Sequence[str]) -> dict[str, float]:
        """The values of one row, by the names of the columns."""
        present = self.present[row]
        return {name: self.columns[bit][row] for bit, name in enumerate(names) if present >> bit & 1}


class Block:
    """Sound rows, in the order of the file."""

    def __init__(self, header: Header, data: bytes) -> None:
        self._header = header
        self._words, self._numbers = array("Q"), array("d")
        for whole in (self._words, self._numbers):
            whole.frombytes(data)
            if sys.byteorder == "big":
                whole.byteswap()
        self._sites = _small_fields(data)[1 :: 2 * header.fields]

    def __len__(self) -> int:
        return len(self._sites)

    def of(self, site: int) -> SiteRows | None:
        """The rows of a site, given by its number in the header; None where there are none."""
        every = len(self._header.sites)
        if site not in self._sites:
            return None
        first = self._sites.index(site)
        # To compare bytes takes a tenth of the time of comparing numbers.
        turns = (array("I", range(every)) * (len(self._sites) // every + 2))[self._sites[0] :][: len(self._sites)]
        if turns.tobytes() != self._sites.tobytes():
            return self._irregular(site)
        start, stride = first * self._header.fields, every * self._header.fields
        columns = [self._numbers[start + field :: stride] for field in range(_FIXED_FIELDS, self._header.fields)]
        return SiteRows(self._words[start + 1 :: stride], self._words[start + 2 :: stride], columns)

    def _irregular(self, site: int) -> SiteRows:
        """The rows of a site, where the sites do not follow each other in turn."""
        chosen = [found == site for found in self._sites]
        stride = self._header.fields
        steps, present = (array("Q", compress(self._words[field::stride], chosen)) for field in (1, 2))
        fields = range(_FIXED_FIELDS, stride)
        return SiteRows(
            steps, present, [array("d", compress(self._numbers[field::stride], chosen)) for field in fields]
        )


def read_header(file: BinaryIO, path: Path) -> Header | None:
    """Read the header of a file that has just been opened; None while its writer has not finished it.

    Raises:
        FormatError: the file is not a metric log, or its header is damaged.
    """
    line = file.readline(_HEADER_LIMIT)
    if not line.endswith(b"\n") and (_MAGIC.startswith(line[: len(_MAGIC)]) or line.startswith(_MAGIC)):
        return None
    try:
        if line.startswith(_OLD_MAGIC):
            return msgspec.json.decode(line[len(_OLD_MAGIC) :], type=Header)
        if not line.startswith(_MAGIC):
            raise msgspec.DecodeError("it has another header")
        crc, _, content = line[len(_MAGIC) : -1].partition(b" ")
        if crc != b"%08x" % zlib.crc32(content):
            raise msgspec.DecodeError("its header is damaged")
        return msgspec.json.decode(content, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise no_log(path.absolute(), str(error)) from error


def no_log(path: Path, reason: str) -> FormatError:
    """The error for a file that is not a metric log."""
    return FormatError(f"{path} is not a metric log: {reason}.", "Move it away; nothing else in the job depends on it.")


def sound_rows(data: bytes, header: Header) -> list[bool]:
    """For each complete row, whether its checksum is right."""
    data = data[: len(data) - len(data) % header.width]
    pairs = struct.iter_unpack(f"<I{header.width - 4}s", data)
    sound = [zlib.crc32(body) == crc for crc, body in pairs]
    sites = _small_fields(data)[1 :: 2 * header.fields]
    if max(sites, default=0) >= len(header.sites):
        return [good and site < len(header.sites) for good, site in zip(sound, sites)]
    return sound


class RowFollower:
    """Follows a log that may still grow, may be cut by a resume, or may not exist yet.

    New rows go block by block to `take`, which a subclass defines. A damaged row is left out. It counts as damaged once a
    sound row follows it; at the end of the file it may be half written, and is read again.

    Attributes:
        damaged: the number of rows that were left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: Header | None = None
        self.damaged = 0
        self._offset = 0
        self._last_row = b""
        self._seen: tuple[int, int] | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        return self.header.sites if self.header else ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self.header.columns if self.header else ()

    def begin(self, header: Header) -> None:
        """The file is read from its start: forget all earlier rows."""
        raise NotImplementedError

    def take(self, block: Block) -> None:
        """Receive new rows."""
        raise NotImplementedError

    def first_row(self, rows: int) -> int:
        """The row to begin with, where the file has `rows` of them."""
        return 0

    def poll(self) -> int:
        """Read the new rows and return their number. Costs one `stat` where there are none.

        Raises:
            FormatError: the file is not a metric log.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0
        if (found.st_size, found.st_mtime_ns) == self._seen:
            return 0
        with self._opened() as file:
            if self.header is None or not self._goes_on(file):
                file.seek(0)
                header = read_header(file, self.path)
                if header is None:
                    return 0
                start = file.tell()
                skipped = self.first_row(max(0, found.st_size - start) // header.width)
                self._offset, self._last_row, self.damaged = start + skipped * header.width, b"", 0
                self.header = header
                self.begin(header)
            count = self._read(file, self.header)
        self._seen = (found.st_size, found.st_mtime_ns)
        return count

    def _opened(self) -> BinaryIO:
        try:
            return open_regular(self.path)
        except NotRegular as error:
            raise no_log(self.path, str(error.strerror)) from error

    def _goes_on(self, file: BinaryIO) -> bool:
        """Whether the part that was read is unchanged: a resume may have cut it and written other rows."""
        file.seek(self._offset - len(self._last_row))
        return file.read(len(self._last_row)) == self._last_row and os.fstat(file.fileno()).st_size >= self._offset

    def _read(self, file: BinaryIO, header: Header) -> int:
        file.seek(self._offset)
        position, count, suspect = self._offset, 0, 0
        while data := file.read(ROWS_AT_ONCE * header.width):
            sound = sound_rows(data, header)
            good = sound.count(True)
            if good:
                last = len(sound) - 1 - sound[::-1].index(True)
                self.damaged += suspect + last + 1 - good
                suspect = len(sound) - 1 - last
                end = (last + 1) * header.width
                self.take(Block(header, data[:end] if good == last + 1 else _chosen(data, sound, header)))
                self._offset, self._last_row = position + end, data[end - header.width : end]
                count += good
            else:
                suspect += len(sound)
            position += len(data)
        return count


def _chosen(data: bytes, sound: list[bool], header: Header) -> bytes:
    rows = (data[start : start + header.width] for start in range(0, len(data), header.width))
    return b"".join(compress(rows, sound))


def _small_fields(data: bytes) -> array[int]:
    """The bytes as fields of 4 bytes."""
    fields = array("I")
    fields.frombytes(data)
    if sys.byteorder == "big":
        fields.byteswap()
    return fields
