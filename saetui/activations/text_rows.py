"""The rows of structured files, one by one: lines of JSON, arrays of JSON, CSV, and columns (columns.py)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from saetui.activations.columns import read_column
from saetui.activations.json_stream import DamagedJson, iterate_json
from saetui.activations.sources import FileKind, SourceFile, UnusableFile

__all__ = ["COPY_AGAIN", "Row", "Unreadable", "not_text", "read_rows"]

_LONGEST_ROW = 2**28
"""Bytes of a line of JSON: a document of 256 MiB is longer than any book."""
_LONGEST_CSV_ROW = 2**24
"""Characters of a row of CSV: less than one of JSON, because an open quote makes one row of many."""
_CHUNK = 2**18

COPY_AGAIN = "Check its permissions and that it was copied whole."


@dataclass(frozen=True)
class Unreadable:
    """Instead of the value of a row, what is wrong with it."""

    problem: str


Row = tuple[str, object]
"""Where a row is in its file, as in "line 7", and its value; or an `Unreadable`."""


def not_text(file: SourceFile, what: str) -> UnusableFile:
    """The refusal of a file that contains what no text has."""
    return UnusableFile(
        f"{file.path} is not a text file: it contains {what}.",
        "Take it out of the dataset, or convert it to UTF-8 text.",
    )


def read_rows(file: SourceFile, stream: BinaryIO, text_field: str) -> Iterator[Row]:
    """Reads the rows of a file that is not plain text.

    Args:
        file: what to read.
        stream: its bytes.
        text_field: the column of a file with columns.

    Raises:
        UnusableFile: it is binary or damaged, or has no such column.
        DatasetError: what reads its kind is not installed.
    """
    if file.kind in (FileKind.PARQUET, FileKind.ARROW):
        return _column(file, text_field)
    head = stream.read(8192)
    if b"\0" in head:
        raise not_text(file, "a NUL byte")
    stream.seek(0)
    if file.kind is FileKind.JSON_LINES:
        return _json_lines(stream)
    return _json(file, stream) if file.kind is FileKind.JSON else _csv(file, stream)


def _json_lines(stream: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := stream.readline(_LONGEST_ROW):
        number += 1
        row: object = Unreadable("not JSON")
        if len(line) == _LONGEST_ROW and not line.endswith(b"\n"):
            row = Unreadable(f"longer than {_LONGEST_ROW:,} bytes")
            while line and not line.endswith(b"\n"):
                line = stream.readline(_CHUNK)
        elif not line.strip():
            continue
        else:
            with suppress(ValueError, RecursionError):
                row = json.loads(line)
        # A long line is not kept next to its text, nor the text next to the following line.
        line = b""
        yield f"line {number}", row
        row = None


def _json(file: SourceFile, stream: BinaryIO) -> Iterator[Row]:
    try:
        for number, value in enumerate(iterate_json(io.TextIOWrapper(stream, encoding="utf-8-sig")), start=1):
            yield f"element {number}", value
    except DamagedJson as error:
        raise UnusableFile(f"{file.path} is damaged: {error}.", COPY_AGAIN) from error
    except UnicodeDecodeError as error:
        raise not_text(file, "bytes that are not UTF-8") from error


def _csv(file: SourceFile, stream: BinaryIO) -> Iterator[Row]:
    # The module's own limit of 128 KiB a field is shorter than many a document.
    csv.field_size_limit(2**31 - 1)
    lines = _CsvLines(file, io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=""))
    rows = csv.reader(lines)
    header: list[str] = []
    while True:
        place = f"line {lines.begin_row()}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, Unreadable(str(error))
            continue
        if lines.ended:
            # A row that is whole asks for no line behind it.
            raise lines.refusal("opens a quote that is never closed")
        if not row:
            continue
        if not header:
            header = row
        elif len(row) != len(header):
            yield place, Unreadable(f"{len(row)} fields, not {len(header)}")
        elif any("\ufffd" in field for field in row):
            yield place, Unreadable("not UTF-8")
        else:
            yield place, dict(zip(header, row, strict=True))


class _CsvLines(Iterator[str]):
    """The lines of a CSV file, as many to a row as its quotes ask for: one that is not closed would take all."""

    def __init__(self, file: SourceFile, text: TextIO) -> None:
        self.ended = False
        self._file, self._text = file, text
        self._lines, self._row_began, self._row_characters = 0, 1, 0

    def begin_row(self) -> int:
        """Says that the next line begins a row, and returns its number."""
        self._row_began, self._row_characters = self._lines + 1, 0
        return self._row_began

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST_CSV_ROW)
        self._lines += 1
        self._row_characters += len(line)
        if self._row_characters >= _LONGEST_CSV_ROW:
            raise self.refusal(f"is longer than {_LONGEST_CSV_ROW:,} characters, as if a quote in it is not closed")
        if not line:
            self.ended = True
            raise StopIteration
        return line

    def refusal(self, what: str) -> UnusableFile:
        return UnusableFile(
            f"{self._file.path} cannot be read: the row that begins in line {self._row_began} {what}.",
            "Close the quote (a quote inside a quoted field is written twice), or convert the file to .jsonl.",
        )


def _column(file: SourceFile, text_field: str) -> Iterator[Row]:
    for number, text in enumerate(read_column(file, text_field), start=1):
        yield f"row {number}", Unreadable("bytes, not UTF-8 text") if isinstance(text, bytes) else {text_field: text}
