"""The metric log of a job: the trainer writes it, and others read it while it grows."""

from __future__ import annotations

import os
import secrets
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path

from saetui.errors import FormatError
from saetui.failpoints import hit
from saetui.formats.durable import append_whole, fsync_directory, write_durably
from saetui.rundir.rows import (
    COLUMN_LIMIT,
    ROWS_AT_ONCE,
    Block,
    Header,
    RowFollower,
    RowPacker,
    SiteRows,
    read_header,
    sound_rows,
)

EVALUATION_PREFIX = "eval_"
"""Before the names of held-out figures where they stand beside the training's: `fvu` is of the training, `eval_fvu` is not."""


class MetricWriter:
    """Appends rows to one log. A torn or damaged tail of an earlier run is cut off first.

    Attributes:
        damaged: the number of damaged rows in the middle of the log. They stay; readers leave them out.
    """

    def __init__(
        self, path: Path, sites: Sequence[str], columns: Sequence[str], *, keep_through: int | None = None
    ) -> None:
        """Open or make the log.

        Args:
            path: of the log.
            sites, columns: the sites and metrics that rows may have; 64 metrics at most.
            keep_through: rows of a later step are cut off, because a resume continues from the step of its checkpoint.
                With 0 nothing is kept, and a file that is not such a log is moved aside.

        Raises:
            FormatError: the file has other sites, or columns that are not among `columns`.
            OSError: no room, or no permission.
        """
        if len(columns) > COLUMN_LIMIT:
            raise ValueError(f"{len(columns)} columns; a row has room for {COLUMN_LIMIT}")
        self.damaged = 0
        self._sites = {site: index for index, site in enumerate(sites)}
        self._columns = tuple(columns)
        self._packer = RowPacker(len(columns))
        header = Header(tuple(sites), self._columns)
        if keep_through == 0:
            _move_aside_unless(path, header)
        has_header = path.exists() and _has_header(path, header)
        hit("metrics.open")
        self._file = open(path, "a+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))
        try:
            if not has_header:
                self._file.truncate(0)
                append_whole(self._file, header.line(), point="metrics")
                fsync_directory(path.parent)
            end, self.damaged = _sound_end(path, keep_through)
            self._file.truncate(end)
        except BaseException:
            self._file.close()
            raise

    def append(self, step: int, site: str, values: Mapping[str, float]) -> None:
        """Write one row with a single system call, so that a reader finds all of it or (torn) none.

        Raises:
            OSError: the disk is full; the log stays sound up to the row before.
        """
        present = 0
        fields = [0.0] * len(self._columns)
        for index, column in enumerate(self._columns):
            if column in values:
                present |= 1 << index
                fields[index] = values[column]
        if len(values) != present.bit_count():
            raise ValueError(f"the log has no column {', '.join(sorted(values.keys() - set(self._columns)))}")
        append_whole(self._file, self._packer.pack(self._sites[site], step, present, fields), point="metrics")

    def sync(self) -> None:
        """Make every row so far durable.

        Raises:
            OSError: the disk failed.
        """
        hit("metrics.fsync")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class MetricReader(RowFollower):
    """Reads a log that may still grow or may not exist yet, and keeps everything in memory, 8 bytes a value."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._histories: dict[str, SiteRows] = {}

    def begin(self, header: Header) -> None:
        self._histories = {
            site: SiteRows(array("Q"), array("Q"), [array("d") for _ in header.columns]) for site in header.sites
        }

    def take(self, block: Block) -> None:
        for number, site in enumerate(self.sites):
            rows = block.of(number)
            if rows is not None:
                history = self._histories[site]
                history.steps.extend(rows.steps)
                history.present.extend(rows.present)
                for column, values in zip(history.columns, rows.columns):
                    column.extend(values)

    def series(self, site: str, column: str) -> tuple[list[int], list[float]]:
        """The steps at which one metric is present, and its values there."""
        history = self._histories.get(site)
        if column not in self.columns or history is None:
            return [], []
        index = self.columns.index(column)
        chosen = [mask >> index & 1 for mask in history.present]
        return list(compress(history.steps, chosen)), list(compress(history.columns[index], chosen))

    def latest(self, site: str) -> tuple[int, dict[str, float]] | None:
        """The step and the values of a site's newest row; None where it has no row."""
        history = self._histories.get(site)
        if history is None or not history.steps:
            return None
        return history.steps[-1], history.values(-1, self.columns)

    def rows(self) -> Iterator[tuple[int, str, dict[str, float]]]:
        """Every row read so far as (step, site, values), in the order of steps, then of sites."""
        order = [
            (step, number, index)
            for number, site in enumerate(self.sites)
            for index, step in enumerate(self._histories[site].steps)
        ]
        for step, number, index in sorted(order):
            site = self.sites[number]
            yield step, site, self._histories[site].values(index, self.columns)


class NewestRows(RowFollower):
    """Keeps only the newest row of each site: the histories of long jobs would fill the supervisor's memory.

    Of a log that is already long, only the end is read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._newest: dict[str, tuple[int, dict[str, float]]] = {}

    def begin(self, header: Header) -> None:
        self._newest = {}

    def take(self, block: Block) -> None:
        for number, site in enumerate(self.sites):
            rows = block.of(number)
            if rows is not None:
                self._newest[site] = (rows.steps[-1], rows.values(-1, self.columns))

    def first_row(self, rows: int) -> int:
        return max(0, rows - ROWS_AT_ONCE)

    def latest(self, site: str) -> tuple[int, dict[str, float]] | None:
        """The step and the values of a site's newest row; None where it has no row."""
        return self._newest.get(site)


def _move_aside_unless(path: Path, expected: Header) -> None:
    """Rename a file that is not such a log."""
    if not path.exists():
        return
    try:
        _has_header(path, expected)
    except FormatError:
        os.rename(path, path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}"))


def _has_header(path: Path, expected: Header) -> bool:
    """Whether the file has a header: a new file has none, nor one whose writer was killed while it wrote the header.

    A damaged header before sound rows is replaced by the expected one.

    Raises:
        FormatError: the file is another log, or not a log.
    """
    line = expected.line()
    with open(path, "rb") as file:
        beginning = file.read(len(line))
        if beginning == line:
            return True
        if len(beginning) < len(line) and line.startswith(beginning):
            return False
        first_rows = file.read(ROWS_AT_ONCE * expected.width)
        file.seek(0)
        try:
            found = read_header(file, path)
        except FormatError:
            if not any(sound_rows(first_rows, expected)):
                raise
            found = None
    if found is None:
        with open(path, "r+b") as file:
            file.write(line)
    elif found.sites == expected.sites and set(found.columns) < set(expected.columns):
        _add_columns(path, found, expected)
    elif found != expected:
        raise FormatError(
            f"{path.absolute()} was written with other sites or columns.",
            "Retry the job from its start instead of resuming it.",
        )
    return True


def _add_columns(path: Path, found: Header, expected: Header) -> None:
    """Rewrite the log of an older saetui, which had fewer columns; new columns are absent in its rows."""
    places = [expected.columns.index(column) for column in found.columns]
    packer, old = RowPacker(len(expected.columns)), struct.Struct(f"<4xIQQ{len(found.columns)}d")
    with open(path, "rb") as file:
        read_header(file, path)
        data = file.read()
    rows = [expected.line()]
    for number, good in enumerate(sound_rows(data, found)):
        if good:
            site, step, present, *values = old.unpack_from(data, number * found.width)
            fields = [0.0] * len(expected.columns)
            for place, value in zip(places, values):
                fields[place] = value
            moved = sum(1 << place for bit, place in enumerate(places) if present >> bit & 1)
            rows.append(packer.pack(site, step, moved, fields))
    write_durably(path, b"".join(rows))


def _sound_end(path: Path, keep_through: int | None) -> tuple[int, int]:
    """The offset at which the rows to keep end, and how many rows before it are damaged."""
    with open(path, "rb") as file:
        header = read_header(file, path)
        assert header is not None
        position = end = file.tell()
        damaged = suspect = 0
        while data := file.read(ROWS_AT_ONCE * header.width):
            sound = sound_rows(data, header)
            for number, good in enumerate(sound):
                start = number * header.width
                if not good:
                    suspect += 1
                    continue
                step = int.from_bytes(data[start + 8 : start + 16], "little")
                if keep_through is not None and step > keep_through:
                    return end, damaged
                damaged, suspect = damaged + suspect, 0
                end = position + start + header.width
            position += len(data)
    return end, damaged
