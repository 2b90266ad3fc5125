"""Reads the documents of a file, piece by piece, so that it may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from saetui.activations.chats import ChatTemplate, Message, as_messages
from saetui.activations.chunks import BadRow, Note, Piece, document
from saetui.activations.columns import read_columns
from saetui.activations.fields import DEFAULT, field_names, find_field, holds_tokens
from saetui.activations.plain_text import read_plain_text
from saetui.activations.text_rows import Row, Unreadable, read_rows
from saetui.errors import DatasetError
from saetui.sources.text_files import FileKind, SourceFile, UnusableFile, opened

__all__ = ["BadRow", "Note", "Piece", "Reading", "read_pieces"]

_ROWS_WITHOUT_TEXT = 10_000
"""A file none of whose first so many rows has the text field is not searched to its end."""


@dataclass(frozen=True)
class Reading:
    """How rows become documents.

    Attributes:
        text_field: the field that holds a row's document, or a path to it (`meta.text`); plain text has none.
        vocabulary: the largest token of the tokenizer, and one: rows that are tokenised hold ids below that.
        chat: makes text of conversations.
    """

    text_field: str = DEFAULT
    vocabulary: int = 2**31
    chat: ChatTemplate = field(default_factory=ChatTemplate)


def read_pieces(file: SourceFile, reading: Reading) -> Iterator[Piece | BadRow | Note]:
    """Reads the documents of a file.

    Args:
        file: what to read.
        reading: how rows become documents.

    Raises:
        UnusableFile: a file that is not optional is binary or damaged, or its rows have no such field.
        DatasetError: the file cannot be opened, what reads its kind is not installed, its rows are tokens of another
            tokenizer, or conversations and there is no Jinja for the chat template.
    """
    inside = False
    try:
        for piece in _pieces(file, reading):
            inside = isinstance(piece, Piece) and not piece.ends_document
            yield piece
    except UnusableFile as error:
        if not file.optional:
            raise
        if inside:
            # What was read of its last document stays, and does not run on into the next file.
            yield Piece()
        yield BadRow(error.message)


def _pieces(file: SourceFile, reading: Reading) -> Iterator[Piece | BadRow | Note]:
    with opened(file) as stream:
        if file.kind is FileKind.TEXT:
            yield from read_plain_text(file, stream)
        elif file.kind.has_columns:
            yield from _documents(file, read_columns(file, reading.text_field), reading)
        else:
            yield from _documents(file, read_rows(file, stream, reading.text_field), reading)


def _documents(file: SourceFile, rows: Iterator[Row], reading: Reading) -> Iterator[Piece | BadRow | Note]:
    # Bad rows wait until some row has the field: if none has, the file as a whole is told, not its rows.
    waiting: list[BadRow] | None = []
    fields: list[str] = []
    reader = _RowReader(file, reading)
    place, problem = "", ""
    for place, row in rows:
        if isinstance(row, dict) and not fields:
            fields = field_names(row)
        found = find_field(row, reading.text_field) if isinstance(row, dict) else None
        value = row if isinstance(row, (str, Unreadable)) else None
        try:
            # A text alone is a row too.
            pieces = reader.pieces(place, *(found or (reading.text_field, value)))
        except ValueError as error:
            pieces, problem = None, str(error)
        if waiting is not None and (pieces is not None or found is not None):
            yield from waiting
            waiting = None
        if pieces is not None:
            yield from pieces
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
            f"The rows of {file.path} have no field {reading.text_field!r}; they have {', '.join(fields)}.",
            "Name the field that holds the text as text_field.",
        )
    if waiting and len(waiting) == _ROWS_WITHOUT_TEXT:
        raise UnusableFile(
            f"None of the first {_ROWS_WITHOUT_TEXT:,} rows of {file.path} has text: {problem} ({place}).",
            f"Give a file whose rows have the text in the field {reading.text_field!r}.",
        )
    yield from waiting or []


class _RowReader:
    """Makes documents of the values of rows."""

    def __init__(self, file: SourceFile, reading: Reading) -> None:
        self._file, self._reading = file, reading

    def pieces(self, place: str, field: str, value: object) -> Iterator[Piece | Note]:
        """The document of a row.

        Raises:
            ValueError: it holds none; the message says why.
            DatasetError: its tokens are of another tokenizer, or there is no Jinja for the chat template.
        """
        if isinstance(value, Unreadable):
            raise ValueError(value.problem)
        if isinstance(value, bytes):
            value = _decoded(value)
        if isinstance(value, str):
            _refuse_no_text(value, field)
            return document(value)
        if holds_tokens(value):
            return self._tokens(place, field, value)
        messages = as_messages(value)
        if messages is not None:
            return self._conversation(field, messages)
        raise ValueError(f"no text in field {field!r}{_instead(value)}")

    def _tokens(self, place: str, field: str, value: object) -> Iterator[Piece | Note]:
        assert isinstance(value, (list, np.ndarray))
        # Before they are made numbers of 64 bits: one that is too large for those is found too.
        ends = (value.min(), value.max()) if isinstance(value, np.ndarray) else (min(value), max(value))
        worst = next((token for token in ends if not 0 <= token < self._reading.vocabulary), None)
        if worst is not None:
            raise DatasetError(
                f"{self._file.path}, {place}: the token {worst} in field {field!r} is none of the model's tokenizer, which has "
                f"0 to {self._reading.vocabulary - 1}.",
                "The rows are of another tokenizer: name a field that holds text as text_field, or choose that model.",
            )
        note = Note(f"The rows' field {field!r} is taken as the model's own tokens: nothing was tokenised.")
        return iter((note, Piece(tokens=np.asarray(value, np.int64), dressed=True)))

    def _conversation(self, field: str, messages: Sequence[Message]) -> Iterator[Piece | Note]:
        text = self._reading.chat.render(messages)
        _refuse_no_text(text, field)
        return self._with_note(field, document(text, dressed=True))

    def _with_note(self, field: str, pieces: Iterator[Piece]) -> Iterator[Piece | Note]:
        yield Note(f"The rows' field {field!r} is read as conversations, {self._reading.chat.how}.")
        yield from pieces


def _instead(value: object) -> str:
    if isinstance(value, dict) and value:
        return f", but fields: {', '.join(field_names(value))}"
    if isinstance(value, (list, np.ndarray)) and len(value):
        return ", but a list that is neither of token ids nor of messages"
    return ""


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"bytes that are not UTF-8 (0x{value[error.start]:02x} at byte {error.start + 1})") from error


def _refuse_no_text(text: str, field: str) -> None:
    """
    Raises:
        ValueError: a tokenizer cannot take the text; the message says why.
    """
    if not text.strip():
        raise ValueError(f"no text in field {field!r}")
    if "\0" in text:
        raise ValueError("a NUL character")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        # A decoder has put a byte that is not UTF-8 there; else JSON has named half of a character.
        half = ord(text[error.start])
        if 0xDC80 <= half <= 0xDCFF:
            raise ValueError(f"not UTF-8 (the byte 0x{half - 0xDC00:02x}; is it Latin-1?)") from error
        raise ValueError("a surrogate without its other half") from error
