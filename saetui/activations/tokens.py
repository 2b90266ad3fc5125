"""A dataset as a model reads it: documents tokenised once, packed into contexts, and split for evaluation."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from saetui.activations.chats import ChatTemplate
from saetui.activations.documents import Reading
from saetui.activations.fields import DEFAULT
from saetui.activations.token_cache import find_or_make
from saetui.activations.token_writer import KEPT, Packing, Written, write_contexts
from saetui.activations.tokenising import write_contexts_in_process
from saetui.activations.vocabulary import begin_id, carries_text, separator_id, special_ids
from saetui.errors import DatasetError, InvalidInput
from saetui.formats.caches import TokenManifest
from saetui.sources.dataset_files import EVERYTHING, find_dataset_files
from saetui.sources.text_files import SourceFile

__all__ = ["OtherTokens", "TokenDataset", "TokenProgress", "find_tokens", "prepare_tokens"]

Contexts = npt.NDArray[np.int64]

_LAYOUT = "saetui tokens 4"
_BLOCK = 8
_SHARE = 20


@dataclass(frozen=True)
class TokenProgress:
    """How far the preparation of a dataset is.

    Attributes:
        stage: "reading" while its content is identified, then "tokenising" unless it is in the cache.
        done: bytes of its files that this stage is through with.
        total: bytes of its files.
        documents: documents tokenised so far.
        bad_rows: rows without usable text so far.
    """

    stage: Literal["reading", "tokenising"]
    done: int
    total: int
    documents: int = 0
    bad_rows: int = 0


class OtherTokens(DatasetError):
    """A text gives other tokens than those that were asked for: it is another one now, or its tokenizer is."""


@dataclass(frozen=True, eq=False)
class TokenDataset:
    """Contexts of tokens on disk, of which some are held out for evaluation.

    Contexts go in blocks of 8; every 20th block, the eleventh first, is held out, so that held-out text
    is spread over the dataset and its neighbours mostly are held out too. With fewer than 11 blocks the
    last twentieth of the contexts is held out, at least one.

    Attributes:
        key: names the content: text, tokenizer and packing.
        path: the file of tokens.
        manifest: what is in it.
        special_ids: tokens that are not trained on; nor is the first position of a context, whatever stands there.
        cached: whether it was found in the cache rather than made.
    """

    key: str
    path: Path
    manifest: TokenManifest
    special_ids: tuple[int, ...]
    cached: bool

    @property
    def contexts(self) -> int:
        return self.manifest.contexts

    @property
    def context_length(self) -> int:
        return self.manifest.context_length

    @property
    def documents(self) -> int:
        return self.manifest.documents

    @property
    def bad_rows(self) -> int:
        return self.manifest.bad_rows

    @property
    def left_out(self) -> str | None:
        """A sentence on the bad rows with the first few reasons; None where there are none."""
        if not self.bad_rows:
            return None
        rows = _describe(self.bad_rows, self.manifest.bad_row_reasons)
        return f"Left out of {self.manifest.source}: {rows}."

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that whoever trains on it must be told: how rows were taken, and what was left out."""
        return (*self.manifest.notes, *([self.left_out] if self.left_out is not None else []))

    @cached_property
    def held_out(self) -> Contexts:
        """The contexts kept from training, in order; at least one."""
        return np.flatnonzero(self._is_held_out)

    @cached_property
    def train(self) -> Contexts:
        """The contexts to train on, in order; at least one."""
        return np.flatnonzero(~self._is_held_out)

    @cached_property
    def train_tokens(self) -> int:
        """Tokens of one epoch: those of `train` that are kept."""
        return int(self.kept.sum()) - self.held_out_tokens

    @cached_property
    def held_out_tokens(self) -> int:
        """Tokens of `held_out` that are kept."""
        return int(self.kept[self.held_out].sum())

    @cached_property
    def kept(self) -> Contexts:
        """For each context how many of its tokens are kept: rows that it gives, (contexts,)."""
        return np.frombuffer(self._map, KEPT, self.contexts, self._tokens.nbytes).astype(np.int64)

    def read(self, indices: Contexts) -> Tensor:
        """Reads contexts as a tensor (len(indices), context_length) int64."""
        tokens = torch.from_numpy(self._tokens[indices].astype(np.int64))
        # What was read stays in the system's cache, but is no longer counted as this process's memory.
        self._map.madvise(mmap.MADV_DONTNEED)
        return tokens

    def keep(self, tokens: Tensor) -> Tensor:
        """Where contexts of tokens (B, T) are trained on and judged: not at special tokens, nor at the first position."""
        return carries_text(tokens, self.special_ids)

    @cached_property
    def _is_held_out(self) -> npt.NDArray[np.bool_]:
        chosen = np.zeros(self.contexts, np.bool_)
        for first in range(_BLOCK * (_SHARE // 2), self.contexts, _BLOCK * _SHARE):
            chosen[first : first + _BLOCK] = True
        if not chosen.any():
            chosen[-max(1, self.contexts // _SHARE) :] = True
        return chosen

    @cached_property
    def _map(self) -> mmap.mmap:
        with self.path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @cached_property
    def _tokens(self) -> npt.NDArray[np.uint16] | npt.NDArray[np.uint32]:
        count = self.contexts * self.context_length
        flat = np.frombuffer(self._map, np.dtype(self.manifest.dtype), count)
        return flat.reshape(self.contexts, self.context_length)


def prepare_tokens(
    source: str,
    tokenizer: PreTrainedTokenizerFast,
    *,
    context_length: int,
    cache_directory: Path,
    text_field: str = DEFAULT,
    split: str = EVERYTHING,
    begin_contexts: bool = True,
    own_process: bool = False,
    key: str | None = None,
    progress: Callable[[TokenProgress], None] | None = None,
) -> TokenDataset:
    """Tokenises a dataset, or finds it tokenised in the cache.

    Each file of plain text, and each row of the other kinds, is a document. Documents are joined by the
    tokenizer's end-of-text token where it has one, and cut into contexts without padding. The cache goes
    by content: the bytes of the text, the tokenizer, the context length; names and dates do not matter.
    In a directory a file that is unusable is left out and counted as a bad row; one that is named is refused.
    Rows may also be tokenised already, or conversations, which the tokenizer's chat template makes text of: where
    they begin and end with tokens of their own, such as BOS, packing puts its own there instead.

    Args:
        source: `bundled:stdlib`, a file, a directory with all below it, a saved dataset of the Hub's
            library, or the id of one that lies in the local cache.
        tokenizer: the model's.
        context_length: tokens in a context, at least 2.
        cache_directory: tokens are kept in `tokens/` below it.
        text_field: the field that holds a row's text, tokens or conversation, or the path to it (`meta.text`).
            Where there is none of the default name, `input_ids`, `tokens`, `messages` or `conversations` is taken,
            which `notes` says. Plain text has none.
        split: which part of it, where the names of its files say one.
        begin_contexts: whether each context begins with the token that the model's own training texts began
            with, where it is known (vocabulary.py); without it contexts begin with text. Either way the
            first position is not kept.
        own_process: whether to tokenise in a process of its own, which keeps this one small; see tokenising.py.
        key: that of the dataset that is wanted, and no other; None for whatever the text gives.
        progress: called now and then.

    Raises:
        OtherTokens: it would have another key.
        DatasetError: there is no text or no such split, it cannot be read, there is less than two contexts of it,
            or nothing to train on or to judge by but special tokens.
        InvalidInput: the context length is below 2.
        HomeError: the cache directory cannot be written to.
    """
    if context_length < 2:
        raise InvalidInput(f"A context length of {context_length} is too short.", "Choose 2 or more, 128 for instance.")
    files = find_dataset_files(source, split).files
    backend = _plain(tokenizer)
    packing = _packing(tokenizer, context_length, begin_contexts)
    vocabulary = max((*tokenizer.get_vocab().values(), *packing.special_ids)) + 1
    reading = Reading(text_field, vocabulary, ChatTemplate.of(tokenizer))
    report = progress if progress is not None else _ignore
    total = sum(file.path.stat().st_size for file in files)
    found = _key(files, backend, packing, reading, lambda done: report(TokenProgress("reading", done, total)))

    if key is not None and found != key:
        raise OtherTokens(f"The text of {source} is not the one that is wanted.", "Put that one back.")

    def make(out: BinaryIO) -> TokenManifest:
        def tell(done: int, written: Written) -> None:
            report(TokenProgress("tokenising", done, total, written.documents, written.bad_rows))

        write = write_contexts_in_process if own_process else write_contexts
        written = write(out, files, backend, packing, reading, tell)
        _refuse_too_little(source, text_field, written, context_length)
        return TokenManifest(
            contexts=written.contexts,
            context_length=context_length,
            dtype=packing.dtype.name,
            documents=written.documents,
            bad_rows=written.bad_rows,
            tokens=written.tokens,
            largest_token=written.largest_token,
            bad_row_reasons=written.bad_row_reasons,
            checksum=written.checksum,
            notes=written.notes,
            source=source,
        )

    entry = find_or_make(cache_directory, found, make)
    dataset = TokenDataset(entry.key, entry.tokens, entry.manifest, packing.special_ids, entry.found)
    if not (dataset.train_tokens and dataset.held_out_tokens):
        raise _special_alone(source)
    return dataset


def find_tokens(key: str, special_ids: tuple[int, ...], cache_directory: Path) -> TokenDataset | None:
    """Tokens that lie in the cache, whatever has become of their text; None where they do not, or not sound.

    Args:
        key: of the dataset.
        special_ids: its own.
        cache_directory: as in `prepare_tokens`.

    Raises:
        HomeError: the cache directory cannot be written to.
    """

    def make(out: BinaryIO) -> TokenManifest:
        raise OtherTokens(f"There are no tokens {key}.")

    try:
        entry = find_or_make(cache_directory, key, make)
    except OtherTokens:
        return None
    return TokenDataset(entry.key, entry.tokens, entry.manifest, special_ids, entry.found)


def _ignore(progress: TokenProgress) -> None:
    """Nobody wants to know."""


def _plain(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of the tokenizer without truncation and padding, which some tokenizer files bring along."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def _packing(tokenizer: PreTrainedTokenizerFast, context_length: int, begin_contexts: bool) -> Packing:
    # Not by how many there are: the ids of some vocabularies have holes.
    special = special_ids(tokenizer)
    largest = max((*tokenizer.get_vocab().values(), *special))
    edges = (begin_id(tokenizer), separator_id(tokenizer), tokenizer.pad_token_id)
    return Packing(
        context_length=context_length,
        begin_id=begin_id(tokenizer) if begin_contexts else None,
        separator_id=separator_id(tokenizer),
        special_ids=special,
        dtype=np.dtype(np.uint16) if largest < 2**16 else np.dtype(np.uint32),
        edges=tuple(sorted({found for found in edges if isinstance(found, int)})),
    )


def _key(
    files: Sequence[SourceFile], tokenizer: Tokenizer, packing: Packing, reading: Reading, tell: Callable[[int], None]
) -> str:
    """A hash of everything that the contexts depend on."""
    digest = hashlib.blake2b(digest_size=16)
    settings = (
        _LAYOUT,
        packing.context_length,
        packing.begin_id,
        packing.separator_id,
        packing.special_ids,
        packing.edges,
        reading,
    )
    digest.update(repr(settings).encode())
    digest.update(hashlib.blake2b(tokenizer.to_str().encode()).digest())
    done = 0
    for file in files:
        content = hashlib.blake2b(digest_size=32)
        try:
            with file.path.open("rb") as stream:
                while chunk := stream.read(2**22):
                    content.update(chunk)
                    done += len(chunk)
                    tell(done)
        except OSError as error:
            raise DatasetError(f"{file.path} cannot be read: {error.strerror}.", "Check its permissions.") from error
        # What is read of a damaged file that is optional must not be found for the same file when it is not.
        digest.update(f"{file.kind.value} {file.compression.value} {file.optional} {content.hexdigest()}".encode())
    return digest.hexdigest()


def _refuse_too_little(source: str, text_field: str, written: Written, context_length: int) -> None:
    rows = _describe(written.bad_rows, written.bad_row_reasons) if written.bad_rows else ""
    if written.documents == 0:
        raise DatasetError(
            f"The dataset {source} has no usable text{rows and ': ' + rows}.",
            f"Check that it is not empty and that its rows have the text in the field {text_field!r}.",
        )
    if written.contexts < 2:
        raise DatasetError(
            f"The dataset {source} has {written.tokens} tokens{rows and ' and ' + rows}; at a context length of "
            f"{context_length} that is less than one context to train on and one to evaluate on.",
            "Choose a longer text or a shorter context length.",
        )
    if written.kept == 0:
        raise _special_alone(source)


def _special_alone(source: str) -> DatasetError:
    """The refusal of a text of which nothing can be learnt, or nothing be judged by."""
    return DatasetError(
        f"The dataset {source} consists of special tokens alone, at least in what is trained on or in what is held out.",
        "Check that it was tokenised or written with text in it, or choose another.",
    )


def _describe(bad_rows: int, reasons: Sequence[str]) -> str:
    """As "5 bad rows (REASON; REASON; REASON; and 2 more)"."""
    shown = [reason.rstrip(".") for reason in reasons]
    if bad_rows > len(shown):
        shown.append(f"and {bad_rows - len(shown)} more")
    return f"{bad_rows} bad row{'' if bad_rows == 1 else 's'} ({'; '.join(shown)})"
