"""A file of plain text: one document of UTF-8, of which lines that are not UTF-8 are left out."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from saetui.activations.chunks import PIECE, BadRow, Piece, in_pieces
from saetui.sources.text_files import HEAD_BYTES, SourceFile, UnusableFile, binary, require_text

__all__ = ["describe_byte", "read_plain_text"]

_BYTES_A_BAD_LINE = 2**20
"""A text with more bad lines than one in so many bytes is not damaged: it is in another encoding."""
_MOST_BAD_LINES = 1000
"""So many more than that, and the rest is not read."""


def read_plain_text(file: SourceFile, stream: BinaryIO) -> Iterator[Piece | BadRow]:
    """Reads a document.

    A line that is not UTF-8 is left out and told as a bad row. Where there are more of them than one in a mebibyte the file is
    refused: most of Latin-1 is UTF-8, and the words that are not would be missing from the text.

    Raises:
        UnusableFile: it is binary, or in another encoding.
    """
    lines = _Lines(file, stream)
    yield from in_pieces(lines)
    lines.refuse_other_encoding()
    yield from (BadRow(f"{file.path}, {place}") for place in lines.bad)


def describe_byte(line: bytes, error: UnicodeDecodeError, first: int = 1) -> str:
    """Which byte of a line is not UTF-8; `first` is the number of the line's first byte."""
    return f"byte {first + error.start} (0x{line[error.start]:02x}) is not UTF-8"


class _Lines:
    """The text in parts that end with a line; `bad` says where lines were left out."""

    def __init__(self, file: SourceFile, stream: BinaryIO) -> None:
        self.bad: list[str] = []
        self._file, self._stream = file, stream
        self._bytes, self._lines = 0, 0

    def __iter__(self) -> Iterator[str]:
        rest = b""
        while True:
            data = self._stream.read(PIECE)
            if data and not data.endswith(b"\n"):
                data += self._stream.readline(PIECE)
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
                self.refuse_other_encoding(at_most=_MOST_BAD_LINES)

    def refuse_other_encoding(self, at_most: int = 0) -> None:
        """Refuses the file if it has more bad lines than a text that is UTF-8 may have, and these.

        Raises:
            UnusableFile: it has.
        """
        if len(self.bad) <= at_most + self._bytes // _BYTES_A_BAD_LINE:
            return
        more = f" (and {len(self.bad) - 1:,} lines more)" if len(self.bad) > 1 else ""
        raise UnusableFile(
            f"{self._file.path}, {self.bad[0]}{more}.",
            "Mend the line; if the file is in Latin-1, convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW.",
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
    """Cuts off the beginning of a character whose other bytes are still to come."""
    for length in range(1, min(4, len(data) + 1)):
        byte = data[-length]
        if byte >= 0xC0:
            whole = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (data[:-length], data[-length:]) if length < whole else (data, b"")
        if byte < 0x80:
            break
    return data, b""
