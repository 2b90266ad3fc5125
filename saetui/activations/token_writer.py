"""Turns documents into contexts on disk: tokenised in batches on all cores, packed without padding."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from tokenizers import Tokenizer

from saetui.activations.chunks import NO_TOKENS, Tokens
from saetui.activations.text import BadRow, Note, Piece, Reading, read_pieces
from saetui.sources.text_files import SourceFile

__all__ = ["KEPT", "Packing", "Written", "write_contexts"]

KEPT = np.dtype(np.uint32)
"""Of the numbers behind the contexts."""

_BATCH_CHARACTERS = 2**21
"""Of text tokenised at a time: enough to fill the cores; a token costs some 100 bytes while in the tokenizer."""
_BATCH_PIECES = 2048
_AT_A_TIME = 2
_REASONS = 3
_END_OF_REASON = 200
"""Of a longer one so many characters are kept from its beginning, which names the file, and from its end, which tells."""


@dataclass(frozen=True)
class Packing:
    """How tokens become contexts.

    Attributes:
        context_length: tokens in a context, the first one included.
        begin_id: the token that every context begins with, or None.
        separator_id: the token between two documents, or None.
        special_ids: tokens that carry no text.
        edges: tokens that a document may bring for its beginning, its end and padding; packing puts its own there.
        dtype: of a token on disk.
    """

    context_length: int
    begin_id: int | None
    separator_id: int | None
    special_ids: tuple[int, ...]
    dtype: np.dtype[np.uint16] | np.dtype[np.uint32]
    edges: tuple[int, ...] = ()


@dataclass
class Written:
    """What was written so far, of it the rows that it gives, and why the first few bad rows were left out."""

    contexts: int = 0
    documents: int = 0
    bad_rows: int = 0
    bad_row_reasons: tuple[str, ...] = ()
    tokens: int = 0
    largest_token: int = 0
    checksum: str = ""
    kept: int = 0
    notes: tuple[str, ...] = ()

    def leave_out(self, row: BadRow) -> None:
        """Counts a row that is not written."""
        self.bad_rows += 1
        if len(self.bad_row_reasons) < _REASONS:
            # The names of files and fields may hold what cannot be written down as text.
            reason = " ".join(row.reason.encode(errors="backslashreplace").decode().split())
            if len(reason) > 2 * _END_OF_REASON:
                reason = f"{reason[:_END_OF_REASON]}…{reason[-_END_OF_REASON:]}"
            self.bad_row_reasons += (reason,)

    def add_note(self, note: Note) -> None:
        """Keep a note, once."""
        if note.sentence not in self.notes:
            self.notes += (note.sentence,)


def write_contexts(
    out: BinaryIO,
    files: Sequence[SourceFile],
    tokenizer: Tokenizer,
    packing: Packing,
    reading: Reading,
    progress: Callable[[int, Written], None],
) -> Written:
    """Tokenises files and writes whole contexts; the tokens that do not fill a last one are dropped.

    Behind the contexts stands for each how many rows it gives (`KEPT`): its tokens but the first one and special ones. Memory grows by those numbers alone
    with the size of the files: by 4 bytes for each context.

    Args:
        out: where the contexts go.
        files: what to read, in this order.
        tokenizer: used as it is, without special tokens of its own, truncation or padding.
        packing: how tokens become contexts.
        reading: how rows become documents.
        progress: called with the bytes of the files that are done, about, and what was written.

    Raises:
        DatasetError: a file cannot be read as text.
    """
    packer = _Packer(out, packing)
    written = packer.written

    def batches() -> Iterator[_Batch]:
        batch: list[Piece] = []
        characters = 0
        finished = 0
        for file in files:
            size = file.path.stat().st_size
            inside = 0
            for piece in read_pieces(file, reading):
                if isinstance(piece, BadRow):
                    written.leave_out(piece)
                    continue
                if isinstance(piece, Note):
                    written.add_note(piece)
                    continue
                batch.append(piece)
                size_of_piece = len(piece.text) + len(piece.tokens)
                characters += size_of_piece
                inside += size_of_piece
                if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_PIECES:
                    yield _Batch(batch, finished + min(inside, size))
                    batch, characters = [], 0
            finished += size
        yield _Batch(batch, finished)

    for batch in _tokenised(tokenizer, batches()):
        packer.add(batch.pieces)
        progress(batch.done, written)
    packer.finish()
    return written


@dataclass(frozen=True)
class _Batch:
    """Some pieces, and the bytes of the files that are done with the last of them, about."""

    pieces: list[Piece]
    done: int


def _tokenised(tokenizer: Tokenizer, batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """The batches, in order, with the tokens of every piece."""

    def tokenise(batch: _Batch) -> _Batch:
        encodings = tokenizer.encode_batch_fast([piece.text for piece in batch.pieces], add_special_tokens=False)
        pieces = [
            piece if len(piece.tokens) else replace(piece, text="", tokens=np.array(encoding.ids, np.int64))
            for encoding, piece in zip(encodings, batch.pieces)
        ]
        return _Batch(pieces, batch.done)

    # The tokenizer's own threads fill the cores, but only while it computes; a second batch fills them while
    # the first one's tokens are taken out of it, and while the next one is read.
    with ThreadPoolExecutor(_AT_A_TIME, "tokeniser") as pool:
        waiting: deque[Future[_Batch]] = deque()
        for batch in batches:
            waiting.append(pool.submit(tokenise, batch))
            if len(waiting) > _AT_A_TIME:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class _Packer:
    """Cuts a stream of tokens into contexts and writes them."""

    def __init__(self, out: BinaryIO, packing: Packing) -> None:
        self.written = Written()
        self._out = out
        self._packing = packing
        self._hash = hashlib.blake2b(digest_size=16)
        self._rest = NO_TOKENS
        self._kept = bytearray()
        self._document_tokens = 0
        self._separate = False

    def add(self, pieces: Iterable[Piece]) -> None:
        """Adds the tokens of some pieces, with separators between documents that have any."""
        parts: list[Tokens] = [self._rest]
        for piece in pieces:
            ids = self._undressed(piece) if piece.dressed else piece.tokens
            if len(ids):
                if self._separate and self._packing.separator_id is not None:
                    parts.append(np.array([self._packing.separator_id], np.int64))
                self._separate = False
                self._document_tokens += len(ids)
                parts.append(ids)
            if piece.ends_document:
                self.written.documents += self._document_tokens > 0
                self.written.tokens += self._document_tokens
                self._separate = self._separate or self._document_tokens > 0
                self._document_tokens = 0
        self._rest = self._write(np.concatenate(parts))

    def _undressed(self, piece: Piece) -> Tokens:
        """Without the document's own beginning and end, or each context that begins with it would begin twice."""
        text = np.flatnonzero(~np.isin(piece.tokens, self._packing.edges))
        first = text[0] if len(text) and not self._document_tokens else 0
        last = text[-1] + 1 if len(text) and piece.ends_document else len(piece.tokens)
        # A document of those alone has no text.
        alone = not len(text) and piece.ends_document and not self._document_tokens
        return NO_TOKENS if alone else piece.tokens[first:last]

    def finish(self) -> None:
        self._put(self._kept)
        self.written.checksum = self._hash.hexdigest()

    def _write(self, tokens: Tokens) -> Tokens:
        """Writes the whole contexts among these tokens, and returns the rest."""
        begin = [] if self._packing.begin_id is None else [self._packing.begin_id]
        length = self._packing.context_length - len(begin)
        count = len(tokens) // length
        if count:
            contexts = np.empty((count, self._packing.context_length), self._packing.dtype)
            contexts[:, : len(begin)] = begin
            contexts[:, len(begin) :] = tokens[: count * length].reshape(count, length)
            self._put(contexts.tobytes())
            special = np.isin(contexts, np.array(self._packing.special_ids, contexts.dtype))
            special[:, 0] = True  # The first position gives no row, whatever stands there.
            kept = (self._packing.context_length - special.sum(1)).astype(KEPT)
            self._kept += kept.tobytes()
            self.written.kept += int(kept.sum())
            self.written.contexts += count
            # Of the tokens before they became the disk's type, which could hide that it is too small.
            largest = max(*begin, int(tokens[: count * length].max()), self.written.largest_token)
            self.written.largest_token = largest
        return tokens[count * length :]

    def _put(self, data: bytes | bytearray) -> None:
        self._out.write(data)
        self._hash.update(data)
