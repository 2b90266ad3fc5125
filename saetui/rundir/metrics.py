"""The metric log: append-only rows of fixed width with a checksum each, after a header that names their columns.

A row is, little-endian, 8 bytes a field: checksum and site (two uint32), step (uint64), which columns are present (a bit
each, uint64), then one float64 for each column. So a million values take 8 MB, a torn tail is found by its length or its
checksum, absent is not NaN, and a reader needs nothing but the standard library.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from saetui.errors import FormatError

_MAGIC = b"saetui-metrics 1 "
_COLUMN_LIMIT = 64


class _Header(msgspec.Struct, frozen=True):
    sites: tuple[str, ...]
    columns: tuple[str, ...]


def _row_struct(columns: int) -> struct.Struct:
    return struct.Struct(f"<IQQ{columns}d")


class MetricWriter:
    """Appends rows to one log; a torn or damaged tail of an earlier run is cut off first."""

    def __init__(
        self, path: Path, sites: Sequence[str], columns: Sequence[str], *, keep_through: int | None = None
    ) -> None:
        """Open or make the log.

        Args:
            path: the log file.
            sites: the names that rows may carry.
            columns: the metrics that rows may have, 64 at most.
            keep_through: rows of a later step are cut off: a resume goes on from its checkpoint's step.

        Raises:
            FormatError: the file there has another header.
        """
        if len(columns) > _COLUMN_LIMIT:
            raise ValueError(f"{len(columns)} columns; a row has room for {_COLUMN_LIMIT}")
        self._sites = {site: index for index, site in enumerate(sites)}
        self._columns = tuple(columns)
        self._row = _row_struct(len(columns))
        header = _Header(tuple(sites), self._columns)
        if path.exists():
            end = _sound_end(path, header, keep_through)
            self._file = open(path, "r+b", buffering=0)
            self._file.truncate(end)
            self._file.seek(end)
        else:
            self._file = open(path, "xb", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))
            self._file.write(_MAGIC + msgspec.json.encode(header) + b"\n")

    def append(self, step: int, site: str, values: Mapping[str, float]) -> None:
        """Write one row with a single system call, so that a reader sees all of it or (torn) none.

        Raises:
            OSError: the disk is full; the log stays sound up to the row before.
        """
        present = 0
        fields = [0.0] * len(self._columns)
        for index, column in enumerate(self._columns):
            if column in values:
                present |= 1 << index
                fields[index] = values[column]
        unknown = values.keys() - set(self._columns)
        if unknown:
            raise ValueError(f"the log has no column {', '.join(sorted(unknown))}")
        body = self._row.pack(self._sites[site], step, present, *fields)
        row = struct.pack("<I", zlib.crc32(body)) + body
        start = self._file.tell()
        try:
            written = self._file.write(row)
        except OSError:
            self._file.truncate(start)
            raise
        if written != len(row):
            self._file.truncate(start)
            self._file.seek(start)
            raise OSError(f"{self._file.name}: the disk is full")

    def sync(self) -> None:
        """Make every row so far durable."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class MetricReader:
    """Reads a log that may still grow, or not be there yet; keeps what it has read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._header: _Header | None = None
        self._row = _row_struct(0)
        self._steps: dict[str, list[int]] = {}
        self._values: dict[str, list[list[float | None]]] = {}

    @property
    def sites(self) -> tuple[str, ...]:
        return self._header.sites if self._header else ()

    @property
    def columns(self) -> tuple[str, ...]:
        return self._header.columns if self._header else ()

    def poll(self) -> int:
        """Read what is new; the number of new rows. Costs one `stat` when nothing is.

        A file that has become shorter (a resume cut it) is read from its start again.

        Raises:
            FormatError: the file is not a metric log.
        """
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return 0
        if size < self._offset:
            self.__init__(self.path)  # type: ignore[misc]  # starting over is what it means
        if size == self._offset:
            return 0
        with open(self.path, "rb") as file:
            if self._header is None:
                header = _read_header(file.readline(65536), self.path)
                if header is None:
                    return 0
                self._start(header, file.tell())
            file.seek(self._offset)
            data = file.read()
        return self._take(data)

    def series(self, site: str, column: str) -> tuple[list[int], list[float]]:
        """The history of one metric: its steps and values, where it is present."""
        if column not in self.columns or site not in self._steps:
            return [], []
        values = self._values[site][self.columns.index(column)]
        pairs = [(step, value) for step, value in zip(self._steps[site], values) if value is not None]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def latest(self, site: str) -> tuple[int, dict[str, float]] | None:
        """The newest row of a site: its step and what it holds; None where there is none."""
        steps = self._steps.get(site)
        if not steps:
            return None
        return steps[-1], self._row_values(site, len(steps) - 1)

    def rows(self) -> Iterator[tuple[int, str, dict[str, float]]]:
        """Every row read so far as (step, site, values), by step, then in the order of the sites."""
        order = [
            (step, number, site, index)
            for number, site in enumerate(self.sites)
            for index, step in enumerate(self._steps[site])
        ]
        for step, _, site, index in sorted(order):
            yield step, site, self._row_values(site, index)

    def _row_values(self, site: str, index: int) -> dict[str, float]:
        values: dict[str, float] = {}
        for column, history in zip(self.columns, self._values[site]):
            value = history[index]
            if value is not None:
                values[column] = value
        return values

    def _start(self, header: _Header, offset: int) -> None:
        self._header = header
        self._offset = offset
        self._row = _row_struct(len(header.columns))
        self._steps = {site: [] for site in header.sites}
        self._values = {site: [[] for _ in header.columns] for site in header.sites}

    def _take(self, data: bytes) -> int:
        assert self._header is not None
        count = 0
        for site_index, step, present, fields in _sound_rows(data, self._row, len(self._header.sites)):
            site = self._header.sites[site_index]
            self._steps[site].append(step)
            for index, history in enumerate(self._values[site]):
                history.append(fields[index] if present >> index & 1 else None)
            count += 1
        self._offset += count * (self._row.size + 4)
        return count


def _sound_rows(data: bytes, row: struct.Struct, sites: int) -> Iterator[tuple[int, int, int, tuple[float, ...]]]:
    """Rows up to the first one that is torn or whose checksum is wrong."""
    view = memoryview(data)
    width = row.size + 4
    for start in range(0, len(data) - width + 1, width):
        body = view[start + 4 : start + width]
        if int.from_bytes(view[start : start + 4], "little") != zlib.crc32(body):
            return
        site, step, present, *fields = row.unpack(body)
        if site >= sites:
            return
        yield site, step, present, tuple(fields)


def _read_header(line: bytes, path: Path) -> _Header | None:
    """The header; None while it is still being written."""
    if not line.endswith(b"\n") and _MAGIC.startswith(line[: len(_MAGIC)]):
        return None
    try:
        if not line.startswith(_MAGIC):
            raise msgspec.DecodeError("no such header")
        return msgspec.json.decode(line[len(_MAGIC) :], type=_Header)
    except msgspec.DecodeError as error:
        raise FormatError(
            f"{path} is not a metric log ({error}).", "Move it away; the rest of the job is not touched by it."
        ) from error


def _sound_end(path: Path, expected: _Header, keep_through: int | None) -> int:
    """Where the sound rows (up to a step) end, in bytes."""
    with open(path, "rb") as file:
        header = _read_header(file.readline(65536), path)
        if header != expected:
            raise FormatError(
                f"{path} was written with other sites or columns.",
                "Retry the job from its start instead of resuming it.",
            )
        start = file.tell()
        data = file.read()
    row = _row_struct(len(expected.columns))
    end = start
    for _, step, _, _ in _sound_rows(data, row, len(expected.sites)):
        if keep_through is not None and step > keep_through:
            break
        end += row.size + 4
    return end
