"""The rows of structured files, one by one: lines of JSON, arrays and columns of JSON, CSV and TSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from saetui.activations.chunks import describe_byte
from saetui.activations.fields import find_field, holds_tokens
from saetui.sources.text_files import COPY_AGAIN, HEAD_BYTES, FileKind, SourceFile, UnusableFile, require_text

_LONGEST_ROW = 2**28
"""Bytes of a line, or characters of a value, of JSON: 256 MiB are longer than any book."""
_LONGEST_CSV_ROW = 2**24
"""Characters of a row of CSV. Fewer than of JSON, because an open quote makes one row of many."""
_CHUNK = 2**20
_BETWEEN_VALUES = " \t\r\n,"
_END_OF_VALUE = frozenset('}]"')


@dataclass(frozen=True)
class Unreadable:
    """Stands for the value of a row that cannot be read."""

    problem: str


Row = tuple[str, object]
"""Where a row is in its file, such as "line 7", and its value or an `Unreadable`."""


class DamagedJson(ValueError):
    """The text is not JSON. The message says from where."""


def read_rows(file: SourceFile, stream: BinaryIO, text_field: str) -> Iterator[Row]:
    """Read the rows of a file that is neither plain text nor has columns.

    Args:
        file: the file.
        stream: its bytes, uncompressed.
        text_field: the field of the text.

    Raises:
        UnusableFile: the file is binary, damaged, or in another encoding.
    """
    head = stream.read(HEAD_BYTES)
    require_text(file, head)
    stream.seek(0)
    if file.kind in (FileKind.CSV, FileKind.TSV):
        return _csv(file, stream)
    if file.kind is FileKind.JSON_LINES and not _is_one_value(head):
        return _json_lines(stream)
    return _json(file, stream, text_field, in_array=_text_of(head).startswith("["))


def _is_one_value(head: bytes) -> bool:
    """Whether a file of JSON lines begins like an array, or like objects that go over several lines."""
    text = _text_of(head)
    first, _, rest = text.partition("\n")
    second = next((line for line in rest.split("\n") if line.strip()), "")
    if isinstance(_parsed(second), dict):
        return False  # The first line is a bad row.
    return text.startswith("[") or (_parsed(first) is None and _is_open(first))


def _text_of(head: bytes) -> str:
    return head.decode("utf-8-sig", errors="replace").lstrip()


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_open(line: str) -> bool:
    """Whether a line is the beginning of an object that continues on the next line."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        return line.startswith("{") and error.pos >= len(line.rstrip())
    except RecursionError:
        return False
    return False


def _json_lines(stream: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := stream.readline(_LONGEST_ROW):
        number += 1
        if len(line) == _LONGEST_ROW and not line.endswith(b"\n"):
            row: object = Unreadable(f"longer than {_LONGEST_ROW:,} bytes")
            while line and not line.endswith(b"\n"):
                line = stream.readline(_CHUNK)
        elif not line.strip():
            continue
        else:
            row = _line_of_json(line)
        # A long line is freed before its text is used, and the text before the next line is read.
        line = b""
        yield f"line {number}", row
        row = None


def _line_of_json(line: bytes) -> object:
    try:
        # Where files were joined, a mark stands at the beginning of each.
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Unreadable(f"{describe_byte(line, error)} (is the file in Latin-1?)")
    except (ValueError, RecursionError):
        return Unreadable("not JSON")


def _json(file: SourceFile, stream: BinaryIO, text_field: str, *, in_array: bool) -> Iterator[Row]:
    # Bytes that are not UTF-8 become characters that no text has, so that only their row is bad and not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape")
    number = 0
    try:
        for value in iterate_json(text):
            for row in [value] if in_array else _rows_of(value, text_field):
                number += 1
                yield f"element {number}", row
    except DamagedJson as error:
        raise UnusableFile(f"{file.path} is damaged: {error}.", COPY_AGAIN) from error
    finally:
        # The caller closes the stream.
        text.detach()


def iterate_json(stream: TextIO) -> Iterator[object]:
    """Read consecutive values, and of arrays the elements, one by one, so that the file may be larger than memory.

    Raises:
        DamagedJson: the text is not JSON, or a value is too long for memory.
    """
    decoder = json.JSONDecoder(parse_int=_integer)
    buffer, position, done, ended = "", 0, 0, False
    inside = False
    want = _CHUNK
    while True:
        while position < len(buffer) and buffer[position] in _BETWEEN_VALUES:
            position += 1
        if buffer[position : position + 1] == ("]" if inside else "["):
            inside = not inside
            position += 1
            continue
        try:
            # A number at the end of the buffer may continue in the file; objects, arrays and texts end in a mark.
            value, end = decoder.raw_decode(buffer, position)
            complete = ended or end < len(buffer) or buffer[end - 1] in _END_OF_VALUE
        except RecursionError as error:
            raise DamagedJson(f"the value at character {done + position} is nested too deeply") from error
        except ValueError:
            complete = False
        if complete:
            yield value
            position, want = end, _CHUNK
            continue
        if ended:
            if position >= len(buffer) and not inside:
                return
            raise DamagedJson(f"it is not JSON from character {done + position}")
        if len(buffer) - position > _LONGEST_ROW:
            raise DamagedJson(
                f"the value at character {done + position} does not end within {_LONGEST_ROW:,} characters"
            )
        # An element longer than the buffer is parsed again only when twice as much of it is there.
        more = stream.read(want)
        want *= 2
        ended = not more
        done += position
        buffer, position = buffer[position:] + more, 0


def _integer(digits: str) -> int | float:
    """A number. One of thousands of digits, which Python refuses as a guard, becomes infinity."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


def _rows_of(value: object, text_field: str) -> Iterator[object]:
    """The rows of an object of columns, as pandas writes it (`{"text": [...]}`, `{"text": {"0": ...}}`); else the value."""
    found = find_field(value, text_field) if isinstance(value, dict) else None
    column = found[1] if found is not None else None
    if isinstance(column, dict) and column and all(name.isdecimal() for name in column):
        column = list(column.values())
    if found is None or not isinstance(column, list) or not column or not _is_column(column):
        yield value
        return
    for element in column:
        yield {text_field: element}


def _is_column(values: list[object]) -> bool:
    """Whether these are several texts, rows of tokens or conversations, and not a single one."""
    return any(isinstance(value, (str, list)) for value in values) and not holds_tokens(values)


def _csv(file: SourceFile, stream: BinaryIO) -> Iterator[Row]:
    # The module's own limit of 128 KiB a field is shorter than many documents.
    csv.field_size_limit(2**31 - 1)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _csv_rows(_CsvLines(file, text), "\t" if file.kind is FileKind.TSV else ",")
    finally:
        # The caller closes the stream.
        text.detach()


def _csv_rows(lines: _CsvLines, delimiter: str) -> Iterator[Row]:
    rows = csv.reader(lines, delimiter=delimiter)
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
            # A complete row does not ask for another line.
            raise lines.refusal("opens a quote that is never closed")
        if not row:
            continue
        if not header:
            header = row
        elif len(row) != len(header):
            yield place, Unreadable(f"{len(row)} fields, not {len(header)}")
        else:
            yield place, dict(zip(header, row, strict=True))


class _CsvLines(Iterator[str]):
    """The lines of a CSV file. An open quote would take all of them into one row, so a row has a longest length."""

    def __init__(self, file: SourceFile, text: TextIO) -> None:
        self.ended = False
        self._file, self._text = file, text
        self._lines, self._row_began, self._row_characters = 0, 1, 0

    def begin_row(self) -> int:
        """Begin a row with the next line, and return the line's number."""
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

    def refusal(self, problem: str) -> UnusableFile:
        return UnusableFile(
            f"{self._file.path} cannot be read: the row that begins in line {self._row_began} {problem}.",
            "Close the quote (a quote inside a quoted field is written twice), or convert the file to .jsonl.",
        )
