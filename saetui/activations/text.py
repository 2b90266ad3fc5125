"""Reads the documents of a dataset, piece by piece, so that a file may be larger than memory."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, cast

from saetui.activations.sources import FileKind, SourceFile, UnusableFile
from saetui.activations.text_rows import COPY_AGAIN, Row, Unreadable, not_text, read_rows
from saetui.errors import DatasetError

__all__ = ["BadRow", "Piece", "read_pieces"]

_PIECE_BYTES = 2**18
_LINE = 4 * _PIECE_BYTES
"""Characters without a line break, of which a document is cut at a space."""
_FIELDS = 20
"""So many are named where the one with the text is missing."""
_ROWS_WITHOUT_TEXT = 10_000
"""A file none of whose first so many rows has the text field is not searched to its end."""


@dataclass(frozen=True)
class Piece:
    """Some text; a long document comes in several pieces, of which the last one ends it."""

    text: str
    ends_document: bool = True


@dataclass(frozen=True)
class BadRow:
    """A row (or an optional file) that holds no usable text; the reason names the file and the place in it."""

    reason: str


def read_pieces(file: SourceFile, text_field: str) -> Iterator[Piece | BadRow]:
    """Reads the text of a file.

    Args:
        file: what to read.
        text_field: the field of each row that holds its text; not used for plain text.

    Raises:
        UnusableFile: a file that is not optional is binary or damaged, or its rows have no such field.
        DatasetError: the file cannot be opened, or what reads its kind is not installed.
    """
    inside = False
    try:
        for piece in _pieces(file, text_field):
            inside = isinstance(piece, Piece) and not piece.ends_document
            yield piece
    except UnusableFile as error:
        if not file.optional:
            raise
        if inside:
            # What was read of its last document stays, and does not run on into the next file.
            yield Piece("")
        yield BadRow(error.message)


def _pieces(file: SourceFile, text_field: str) -> Iterator[Piece | BadRow]:
    try:
        with _opened(file) as stream:
            if file.kind is FileKind.TEXT:
                yield from _plain_text(file, stream)
            else:
                yield from _rows_with_text(file, read_rows(file, stream, text_field), text_field)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UnusableFile(f"{file.path} cannot be read: {error}.", COPY_AGAIN) from error
    except OSError as error:
        raise DatasetError(f"{file.path} cannot be read: {error}.", COPY_AGAIN) from error


@contextmanager
def _opened(file: SourceFile) -> Iterator[BinaryIO]:
    stream = cast(BinaryIO, gzip.open(file.path, "rb") if file.compressed else file.path.open("rb"))
    with stream:
        yield stream


def _plain_text(file: SourceFile, stream: BinaryIO) -> Iterator[Piece]:
    try:
        yield from _in_pieces(_decoded(stream))
    except UnicodeDecodeError as error:
        raise not_text(file, "a NUL byte or bytes that are not UTF-8") from error


def _decoded(stream: BinaryIO) -> Iterator[str]:
    """The text of a file; a NUL byte counts as an encoding other than UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    while data := stream.read(_PIECE_BYTES):
        if b"\0" in data:
            raise UnicodeDecodeError("utf-8", data, data.index(0), data.index(0) + 1, "a NUL byte")
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def _in_pieces(parts: Iterable[str]) -> Iterator[Piece]:
    """Cuts a document that comes in parts, so that no more of it is tokenised at a time than fits into memory."""
    rest = ""
    for part in parts:
        text = rest + part
        cut = text.rfind("\n") + 1
        if not cut and len(text) > _LINE:
            # Tokens mostly begin with the space before a word.
            cut = max(text.rfind(" "), 0) or len(text)
        # Blank stretches are no text: a file of them alone must be refused, not trained on.
        if cut and not text[:cut].isspace():
            yield Piece(text[:cut], ends_document=False)
        rest = text[cut:]
    # The empty piece still ends the document whose text has all been handed out.
    yield Piece("" if rest.isspace() else rest)


def _document(text: str) -> Iterator[Piece]:
    """A document that is in memory as a whole, without a copy of it."""
    if len(text) <= _PIECE_BYTES:
        yield Piece(text)
    else:
        yield from _in_pieces(text[start : start + _PIECE_BYTES] for start in range(0, len(text), _PIECE_BYTES))


def _rows_with_text(file: SourceFile, rows: Iterator[Row], text_field: str) -> Iterator[Piece | BadRow]:
    # Bad rows wait until some row has the field: if none has, the file as a whole is told, not its rows.
    waiting: list[BadRow] | None = []
    fields: list[str] = []
    place, problem = "", None
    for place, row in rows:
        if isinstance(row, dict) and not fields:
            fields = [_printable(name) for name in islice(row, _FIELDS)]
        text = row.get(text_field) if isinstance(row, dict) else row
        problem = _problem(text, text_field)
        if waiting is not None and (problem is None or (isinstance(row, dict) and text_field in row)):
            yield from waiting
            waiting = None
        if problem is None:
            assert isinstance(text, str)
            yield from _document(text)
            continue
        bad = BadRow(f"{file.path}, {place}: {problem}")
        if waiting is None:
            yield bad
            continue
        waiting.append(bad)
        if len(waiting) == _ROWS_WITHOUT_TEXT:
            break
    if waiting and fields:
        raise UnusableFile(
            f"The rows of {file.path} have no field {text_field!r}; they have {', '.join(fields)}.",
            "Name the field that holds the text as text_field.",
        )
    if waiting and len(waiting) == _ROWS_WITHOUT_TEXT:
        raise UnusableFile(
            f"None of the first {_ROWS_WITHOUT_TEXT:,} rows of {file.path} has text: {problem} ({place}).",
            f"Give a file whose rows have the text in the field {text_field!r}.",
        )
    yield from waiting or []


def _problem(text: object, text_field: str) -> str | None:
    """Why a row cannot be used, in words; None where it can."""
    if isinstance(text, Unreadable):
        return text.problem
    if not isinstance(text, str) or not text.strip():
        return f"no text in field {text_field!r}"
    if "\0" in text:
        return "a NUL character"
    return None if _is_unicode(text) else "a surrogate without its other half"


def _printable(name: object) -> str:
    return str(name)[:50].encode(errors="backslashreplace").decode()


def _is_unicode(text: str) -> bool:
    """Whether text can be written down: JSON can name halves of characters, which a tokenizer cannot take."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False
