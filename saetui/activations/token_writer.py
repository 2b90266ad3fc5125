"""Writes documents as contexts of tokens: tokenised in batches on all cores, packed without padding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from tokenizers import Tokenizer

from saetui.activations.chunks import NO_TOKENS, BadRow, Chunk, Note, Tokens
from saetui.activations.documents import Reading, read_chunks
from saetui.formats.caches import TOKENS, new_hash
from saetui.formats.paths import escaped
from saetui.sources.text_files import SourceFile

KEPT = np.dtype(np.uint32)
"""The type of the numbers of rows behind the contexts."""

_BATCH_CHARACTERS = 2**21
"""Characters tokenised at a time: enough to fill the cores. A token costs some 100 bytes while in the tokenizer."""
_BATCH_CHUNKS = 2048
_AT_A_TIME = 2
_REASONS = 3
_END_OF_REASON = 200
"""A longer reason keeps this many characters of its beginning, which names the file, and of its end, which says why."""


@dataclass(frozen=True)
class Packing:
    """How tokens become contexts.

    Attributes:
        context_length: tokens in a context, the first one included.
        begin_id: the token that every context begins with, or None.
        separator_id: the token between two documents, or None.
        special_ids: tokens that carry no text.
        edges: tokens that a document may bring for its beginning, its end and padding. Packing puts its own there.
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
    """What is written so far. `kept` is the number of rows that it gives."""

    contexts: int = 0
    documents: int = 0
    bad_rows: int = 0
    bad_row_reasons: tuple[str, ...] = ()
    tokens: int = 0
    largest_token: int = 0
    checksum: str = ""
    kept: int = 0
    notes: tuple[str, ...] = ()

    def add_bad_row(self, row: BadRow) -> None:
        """Count a row that is left out, and keep the first few reasons."""
        self.bad_rows += 1
        if len(self.bad_row_reasons) < _REASONS:
            reason = " ".join(escaped(row.reason).split())
            if len(reason) > 2 * _END_OF_REASON:
                reason = f"{reason[:_END_OF_REASON]}…{reason[-_END_OF_REASON:]}"
            self.bad_row_reasons += (reason,)

    def add_note(self, note: Note) -> None:
        """Keep a note, once."""
        if note.sentence not in self.notes:
            self.notes += (note.sentence,)


Report = Callable[[int, Written], None]
"""Called with about the bytes of the files that are done, and with what is written."""


def write_contexts(
    out: BinaryIO, files: Sequence[SourceFile], tokenizer: Tokenizer, packing: Packing, reading: Reading, report: Report
) -> Written:
    """Tokenise files and write whole contexts. Tokens that do not fill a last context are dropped.

    After the contexts follows for each of them the number of rows that it gives (`KEPT`): its tokens without the first one
    and special ones. Memory grows with the size of the files by these numbers alone: 4 bytes for each context.

    Args:
        out: where the contexts go.
        files: the files, in this order.
        tokenizer: used without special tokens of its own, truncation or padding.
        packing: how tokens become contexts.
        reading: how rows become documents.
        report: called with about the bytes of the files that are done, and with what is written.

    Raises:
        DatasetError: a file cannot be read as text.
    """
    packer = _Packer(out, packing)
    written = packer.written

    def batches() -> Iterator[_Batch]:
        batch: list[Chunk] = []
        characters = 0
        finished = 0
        for file in files:
            file_size = file.path.stat().st_size
            inside = 0
            for chunk in read_chunks(file, reading):
                if isinstance(chunk, BadRow):
                    written.add_bad_row(chunk)
                    continue
                if isinstance(chunk, Note):
                    written.add_note(chunk)
                    continue
                batch.append(chunk)
                chunk_size = len(chunk.text) + len(chunk.tokens)
                characters += chunk_size
                inside += chunk_size
                if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_CHUNKS:
                    yield _Batch(batch, finished + min(inside, file_size))
                    batch, characters = [], 0
            finished += file_size
        yield _Batch(batch, finished)

    for batch in _tokenised(tokenizer, batches()):
        packer.add(batch.chunks)
        report(batch.done, written)
    packer.finish()
    return written


@dataclass(frozen=True)
class _Batch:
    """Some chunks, and about the bytes of the files that are done with the last of them."""

    chunks: list[Chunk]
    done: int


def _tokenised(tokenizer: Tokenizer, batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """The batches, in order, with the tokens of every chunk."""

    def tokenise(batch: _Batch) -> _Batch:
        encodings = tokenizer.encode_batch_fast([chunk.text for chunk in batch.chunks], add_special_tokens=False)
        chunks = [
            chunk if len(chunk.tokens) else replace(chunk, text="", tokens=np.array(encoding.ids, np.int64))
            for encoding, chunk in zip(encodings, batch.chunks)
        ]
        return _Batch(chunks, batch.done)

    # The tokenizer's own threads fill the cores only while it computes. A second batch fills them while the first one's
    # tokens are taken out of the tokenizer and the next batch is read.
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
        self._hash = new_hash(TOKENS)
        self._rest = NO_TOKENS
        self._kept = bytearray()
        self._document_tokens = 0
        self._separate = False

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Add the tokens of some chunks, with separators between documents that have tokens."""
        parts: list[Tokens] = [self._rest]
        for chunk in chunks:
            ids = self._without_edges(chunk) if chunk.has_own_edges else chunk.tokens
            if len(ids):
                if self._separate and self._packing.separator_id is not None:
                    parts.append(np.array([self._packing.separator_id], np.int64))
                self._separate = False
                self._document_tokens += len(ids)
                parts.append(ids)
            if chunk.ends_document:
                self.written.documents += self._document_tokens > 0
                self.written.tokens += self._document_tokens
                self._separate = self._separate or self._document_tokens > 0
                self._document_tokens = 0
        self._rest = self._write(np.concatenate(parts))

    def _without_edges(self, chunk: Chunk) -> Tokens:
        """The tokens without the document's own beginning and end, which would begin a context twice."""
        text = np.flatnonzero(~np.isin(chunk.tokens, self._packing.edges))
        first = text[0] if len(text) and not self._document_tokens else 0
        last = text[-1] + 1 if len(text) and chunk.ends_document else len(chunk.tokens)
        # A document of edges alone has no text.
        edges_alone = not len(text) and chunk.ends_document and not self._document_tokens
        return NO_TOKENS if edges_alone else chunk.tokens[first:last]

    def finish(self) -> None:
        self._put(self._kept)
        self.written.checksum = self._hash.hexdigest()

    def _write(self, tokens: Tokens) -> Tokens:
        """Write the whole contexts among these tokens, and return the rest."""
        begin = [] if self._packing.begin_id is None else [self._packing.begin_id]
        length = self._packing.context_length - len(begin)
        count = len(tokens) // length
        if count:
            contexts = np.empty((count, self._packing.context_length), self._packing.dtype)
            contexts[:, : len(begin)] = begin
            contexts[:, len(begin) :] = tokens[: count * length].reshape(count, length)
            self._put(contexts.tobytes())
            special = np.isin(contexts, np.array(self._packing.special_ids, contexts.dtype))
            special[:, 0] = True  # The first position never gives a row.
            kept = (self._packing.context_length - special.sum(1)).astype(KEPT)
            self._kept += kept.tobytes()
            self.written.kept += int(kept.sum())
            self.written.contexts += count
            # Of the tokens in 64 bits: after conversion to the disk's type an overflow would not show.
            largest = max(*begin, int(tokens[: count * length].max()), self.written.largest_token)
            self.written.largest_token = largest
        return tokens[count * length :]

    def _put(self, data: bytes | bytearray) -> None:
        self._out.write(data)
        self._hash.update(data)
