"""Documents in chunks, so that a file may be larger than memory; and the reading of plain text, one document a file."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from saetui.sources.text_files import HEAD_BYTES, SourceFile, UnusableFile, binary, require_text

Tokens = npt.NDArray[np.int64]

CHUNK_SIZE = 2**18
"""Characters, or bytes, that are read or passed on at a time."""
NO_TOKENS: Tokens = np.empty(0, np.int64)
_LONGEST_LINE = 4 * CHUNK_SIZE
"""A document is cut at a space where it has more characters than this without a line break."""
_BYTES_A_BAD_LINE = 2**20
"""A text with more bad lines than one in this many bytes is not damaged, but in another encoding."""
_MOST_BAD_LINES = 1000
"""With this many bad lines more than that, the rest of the file is not read."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A part of a document. The last part of a document ends it.

    Attributes:
        text: to be tokenised.
        ends_document: whether this is the last part.
        tokens: (n,) int64, instead of text, where the document is tokenised already.
        has_own_edges: whether the document brings its own tokens for its beginning and end.
    """

    text: str = ""
    ends_document: bool = True
    tokens: Tokens = field(default_factory=lambda: NO_TOKENS)
    has_own_edges: bool = False


@dataclass(frozen=True)
class BadRow:
    """A row (or an optional file) without usable text. The reason names the file and the place in it."""

    reason: str


@dataclass(frozen=True)
class Note:
    """How rows were read that are not plain text. The user reads each note once."""

    sentence: str


def in_chunks(parts: Iterable[str], *, has_own_edges: bool = False) -> Iterator[Chunk]:
    """Cut a document that comes in parts at line breaks or spaces."""
    rest = ""
    for part in parts:
        text = rest + part
        cut = text.rfind("\n") + 1
        if not cut and len(text) > _LONGEST_LINE:
            # Tokens mostly begin with the space before a word.
            cut = max(text.rfind(" "), 0) or len(text)
        # White space alone is no text: a file of it must be refused, not trained on.
        if cut and not text[:cut].isspace():
            yield Chunk(text[:cut], ends_document=False, has_own_edges=has_own_edges)
        rest = text[cut:]
    # Even an empty chunk ends the document.
    yield Chunk("" if rest.isspace() else rest, has_own_edges=has_own_edges)


def document(text: str, *, has_own_edges: bool = False) -> Iterator[Chunk]:
    """The chunks of a document that is in memory as a whole, without a copy of it."""
    if len(text) <= CHUNK_SIZE:
        yield Chunk(text, has_own_edges=has_own_edges)
    else:
        parts = (text[start : start + CHUNK_SIZE] for start in range(0, len(text), CHUNK_SIZE))
        yield from in_chunks(parts, has_own_edges=has_own_edges)


def read_plain_text(file: SourceFile, stream: BinaryIO) -> Iterator[Chunk | BadRow]:
    """Read a file of plain text as one document.

    A line that is not UTF-8 is left out and yielded as a bad row. With more of them than one in a mebibyte the file is
    refused: most of a Latin-1 text is valid UTF-8, and the words that are not would be missing.

    Raises:
        UnusableFile: the file is binary, or in another encoding.
    """
    lines = _Lines(file, stream)
    yield from in_chunks(lines)
    lines.require_few_bad_ones()
    yield from (BadRow(f"{file.path}, {place}") for place in lines.bad)


def describe_byte(line: bytes, error: UnicodeDecodeError, first: int = 1) -> str:
    """Which byte of a line is not UTF-8; `first` is the number of the line's first byte."""
    return f"byte {first + error.start} (0x{line[error.start]:02x}) is not UTF-8"


class _Lines:
    """The text in parts that end with a line. `bad` says where lines were left out."""

    def __init__(self, file: SourceFile, stream: BinaryIO) -> None:
        self.bad: list[str] = []
        self._file, self._stream = file, stream
        self._bytes, self._lines = 0, 0

    def __iter__(self) -> Iterator[str]:
        rest = b""
        while True:
            data = self._stream.read(CHUNK_SIZE)
            if data and not data.endswith(b"\n"):
                data += self._stream.readline(CHUNK_SIZE)
            if not data and not rest:
                return
            ended = not data
            data, rest = rest + data, b""
            if not ended:
                data, rest = _before_half_a_character(data)
            yield self._decoded(data)
            self._bytes += len(data)
            self._lines += data.count(b"\n")
            if len(self.bad) > _MOST_BAD_LINES:
                self.require_few_bad_ones(at_most=_MOST_BAD_LINES)

    def require_few_bad_ones(self, at_most: int = 0) -> None:
        """
        Raises:
            UnusableFile: there are more bad lines than a UTF-8 text of this length may have, and `at_most`.
        """
        if len(self.bad) <= at_most + self._bytes // _BYTES_A_BAD_LINE:
            return
        more = f" (and {len(self.bad) - 1:,} lines more)" if len(self.bad) > 1 else ""
        raise UnusableFile(
            f"{self._file.path}, {self.bad[0]}{more}.",
            "Correct the line; if the file is in Latin-1, convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW.",
        )

    def _decoded(self, data: bytes) -> str:
        if not self._bytes:
            require_text(self._file, data[:HEAD_BYTES])
            if data.startswith(codecs.BOM_UTF8):
                self._bytes += len(codecs.BOM_UTF8)
                data = data[len(codecs.BOM_UTF8) :]
        if b"\0" in data:
            raise binary(self._file)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "".join(self._sound_lines(data))

    def _sound_lines(self, data: bytes) -> Iterator[str]:
        start = self._bytes + 1
        for number, line in enumerate(data.splitlines(keepends=True), start=self._lines + 1):
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                self.bad.append(f"line {number}: {describe_byte(line, error, start)}")
            start += len(line)


def _before_half_a_character(data: bytes) -> tuple[bytes, bytes]:
    """Cut off the beginning of a last character whose other bytes are not read yet."""
    for length in range(1, min(4, len(data) + 1)):
        byte = data[-length]
        if byte >= 0xC0:
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (data[:-length], data[-length:]) if length < whole else (data, b"")
        if byte < 0x80:
            break
    return data, b""
