"""The documents of a file, in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from saetui.activations.chats import ChatTemplate, Message, as_messages
from saetui.activations.chunks import BadRow, Chunk, Note, document, read_plain_text
from saetui.activations.columns import read_columns
from saetui.activations.fields import DEFAULT, field_names, find_field, holds_tokens
from saetui.activations.text_rows import Row, Unreadable, read_rows
from saetui.errors import DatasetError
from saetui.sources.text_files import FileKind, SourceFile, UnusableFile, opened

_ROWS_WITHOUT_TEXT = 10_000
"""A file is given up when so many rows at its beginning lack the text field."""


@dataclass(frozen=True)
class Reading:
    """How rows become documents. The key of a tokenised dataset contains this struct's repr.

    Attributes:
        text_field: the field of a row's document, or a path to it (`meta.text`). Plain text has none.
        vocabulary: the tokenizer's largest token, and one. Tokens of rows that are tokenised already are below it.
        chat: makes text of conversations.
    """

    text_field: str = DEFAULT
    vocabulary: int = 2**31
    chat: ChatTemplate = field(default_factory=ChatTemplate)


def read_chunks(file: SourceFile, reading: Reading) -> Iterator[Chunk | BadRow | Note]:
    """Read the documents of a file.

    Args:
        file: the file.
        reading: how rows become documents.

    Raises:
        UnusableFile: a file that is not optional is binary or damaged, or its rows have no such field.
        DatasetError: the file cannot be opened, the package that reads it is not installed, its rows are tokens of another
            tokenizer, or they are conversations and Jinja is not installed for the chat template.
    """
    inside = False
    try:
        for chunk in _chunks(file, reading):
            inside = isinstance(chunk, Chunk) and not chunk.ends_document
            yield chunk
    except UnusableFile as error:
        if not file.optional:
            raise
        if inside:
            # The part of the last document that was read stays, and must not run on into the next file.
            yield Chunk()
        yield BadRow(error.message)


def _chunks(file: SourceFile, reading: Reading) -> Iterator[Chunk | BadRow | Note]:
    with opened(file) as stream:
        if file.kind is FileKind.TEXT:
            yield from read_plain_text(file, stream)
        elif file.kind.has_columns:
            yield from _documents(file, read_columns(file, reading.text_field), reading)
        else:
            yield from _documents(file, read_rows(file, stream, reading.text_field), reading)


def _documents(file: SourceFile, rows: Iterator[Row], reading: Reading) -> Iterator[Chunk | BadRow | Note]:
    # Bad rows wait until some row has the field. If none has, the message names the file and not its rows.
    waiting: list[BadRow] | None = []
    fields: list[str] = []
    place, problem = "", ""
    for place, row in rows:
        if isinstance(row, dict) and not fields:
            fields = field_names(row)
        found = find_field(row, reading.text_field) if isinstance(row, dict) else None
        # A text alone is a row too.
        value = row if isinstance(row, (str, Unreadable)) else None
        try:
            chunks = _document_of(file, reading, place, *(found or (reading.text_field, value)))
        except ValueError as error:
            chunks, problem = None, str(error)
        if waiting is not None and (chunks is not None or found is not None):
            yield from waiting
            waiting = None
        if chunks is not None:
            yield from chunks
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


def _document_of(file: SourceFile, reading: Reading, place: str, field: str, value: object) -> Iterator[Chunk | Note]:
    """The document of a row.

    Args:
        file: the row's file.
        reading: how rows become documents.
        place: where in the file the row is.
        field: the field of the document.
        value: the field's value.

    Raises:
        ValueError: the row has no document; the error says why.
        DatasetError: its tokens were made with another tokenizer, or Jinja is not installed for the chat template.
    """
    if isinstance(value, Unreadable):
        raise ValueError(value.problem)
    if isinstance(value, bytes):
        value = _decoded(value)
    if isinstance(value, str):
        _require_usable_text(value, field)
        return document(value)
    if holds_tokens(value):
        assert isinstance(value, (list, np.ndarray))
        _require_own_tokens(file, reading, place, field, value)
        note = Note(f"The rows' field {field!r} is taken as the model's own tokens: nothing was tokenised.")
        return iter((note, Chunk(tokens=np.asarray(value, np.int64), has_own_edges=True)))
    messages = as_messages(value)
    if messages is None:
        raise ValueError(f"no text in field {field!r}{_instead(value)}")
    return _conversation(reading, field, messages)


def _conversation(reading: Reading, field: str, messages: Sequence[Message]) -> Iterator[Chunk | Note]:
    text = reading.chat.render(messages)
    _require_usable_text(text, field)

    def chunks() -> Iterator[Chunk | Note]:
        yield Note(f"The rows' field {field!r} is read as conversations, {reading.chat.how}.")
        yield from document(text, has_own_edges=True)

    return chunks()


def _require_own_tokens(
    file: SourceFile,
    reading: Reading,
    place: str,
    field: str,
    value: list[int] | np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    # Checked before conversion to 64 bits, which a token may exceed.
    ends = (value.min(), value.max()) if isinstance(value, np.ndarray) else (min(value), max(value))
    worst = next((token for token in ends if not 0 <= token < reading.vocabulary), None)
    if worst is not None:
        raise DatasetError(
            f"{file.path}, {place}: the token {worst} in field {field!r} is none of the model's tokenizer, which has "
            f"0 to {reading.vocabulary - 1}.",
            "The rows were made with another tokenizer: name a field that holds text as text_field, or choose that model.",
        )


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


def _require_usable_text(text: str, field: str) -> None:
    """
    Raises:
        ValueError: a tokenizer cannot take the text; the error says why.
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
        # A decoder puts these in place of bytes that are not UTF-8. Others are half characters that JSON names.
        half = ord(text[error.start])
        if 0xDC80 <= half <= 0xDCFF:
            raise ValueError(f"not UTF-8 (the byte 0x{half - 0xDC00:02x}; is it Latin-1?)") from error
        raise ValueError("a surrogate without its other half") from error
