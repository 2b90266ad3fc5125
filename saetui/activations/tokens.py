"""Prepares the tokens of a dataset: found in the cache, or tokenised once and packed into contexts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from saetui.activations.chats import ChatTemplate
from saetui.activations.documents import Reading
from saetui.activations.fields import DEFAULT
from saetui.activations.token_cache import find_or_make
from saetui.activations.token_dataset import TokenDataset, describe_bad_rows
from saetui.activations.token_writer import Packing, Written, write_contexts
from saetui.activations.tokenising import write_contexts_in_process
from saetui.activations.vocabulary import begin_id, separator_id, special_ids
from saetui.errors import DatasetError, InvalidInput
from saetui.formats.caches import TokenManifest
from saetui.sources.dataset_files import EVERYTHING, find_dataset_files
from saetui.sources.text_files import SourceFile

_LAYOUT = "saetui tokens 4"
"""A part of every key: changes with the rule by which text becomes contexts."""


@dataclass(frozen=True)
class TokenProgress:
    """How far the preparation of a dataset is.

    Attributes:
        stage: "reading" while the text is hashed, then "tokenising" unless it is in the cache.
        done: bytes of the files that this stage has done.
        total: bytes of the files.
        documents: documents tokenised so far.
        bad_rows: rows without usable text so far.
    """

    stage: Literal["reading", "tokenising"]
    done: int
    total: int
    documents: int = 0
    bad_rows: int = 0


class OtherTokens(DatasetError):
    """A text gives other tokens than the wanted ones: the text or its tokenizer has changed."""


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
    """Tokenise a dataset, or find it in the cache.

    Each file of plain text, and each row of the other kinds, is a document. Documents are joined by the tokenizer's
    end-of-text token where it has one, and cut into contexts without padding. The key in the cache depends on the bytes of
    the text, the tokenizer and the context length, not on names and dates. An unusable file of a directory is left out and
    counted as a bad row; one that the user names is refused. Rows may be tokenised already, or be conversations, which the
    tokenizer's chat template turns into text. Packing replaces tokens of their own at their beginning and end, such as BOS.

    Args:
        source: `bundled:stdlib`, a file, a directory with all below it, a dataset that `save_to_disk` wrote, or the Hub id of
            one in the local cache.
        tokenizer: the model's.
        context_length: tokens in a context, at least 2.
        cache_directory: tokens are kept in `tokens/` below it.
        text_field: the field of a row's text, tokens or conversation, or the path to it (`meta.text`). Where rows have no field
            of the default name, `input_ids`, `tokens`, `messages` or `conversations` is read, and `notes` says so.
        split: which part, where the names of the files name one.
        begin_contexts: whether each context begins with the token that began the model's own training texts, where it is
            known (vocabulary.py). Without it contexts begin with text. The first position is not kept in either case.
        own_process: whether to tokenise in a process of its own, which keeps this one small; see tokenising.py.
        key: the key that the tokens must have. None accepts any.
        progress: called now and then.

    Raises:
        OtherTokens: the tokens would have another key.
        DatasetError: there is no text or no such split, the text cannot be read or has less than two contexts, or there is
            nothing but special tokens to train on or to evaluate on.
        InvalidInput: the context length is below 2.
        HomeError: the cache directory cannot be written to.
    """
    if context_length < 2:
        raise InvalidInput(f"A context length of {context_length} is too short.", "Choose 2 or more, 128 for instance.")
    files = find_dataset_files(source, split).files
    # Some tokenizer files come with truncation and padding.
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    packing = _packing(tokenizer, context_length, begin_contexts)
    vocabulary = max((*tokenizer.get_vocab().values(), *packing.special_ids)) + 1
    reading = Reading(text_field, vocabulary, ChatTemplate.of(tokenizer))
    report = progress if progress is not None else lambda now: None
    total = sum(file.path.stat().st_size for file in files)
    found = _key(files, backend, packing, reading, lambda done: report(TokenProgress("reading", done, total)))

    if key is not None and found != key:
        raise OtherTokens(f"The text of {source} now gives different tokens.", "Restore the text, or its tokenizer.")

    def make(out: BinaryIO) -> TokenManifest:
        def on_progress(done: int, written: Written) -> None:
            report(TokenProgress("tokenising", done, total, written.documents, written.bad_rows))

        write = write_contexts_in_process if own_process else write_contexts
        written = write(out, files, backend, packing, reading, on_progress)
        _require_enough(source, text_field, written, context_length)
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
    """The tokens of a key from the cache, without their text. None where there are none, or they are damaged.

    Args:
        key: the dataset's.
        special_ids: the dataset's.
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


def _packing(tokenizer: PreTrainedTokenizerFast, context_length: int, begin_contexts: bool) -> Packing:
    special = special_ids(tokenizer)
    # The largest id, not the number of ids: some vocabularies have gaps.
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
    files: Sequence[SourceFile],
    tokenizer: Tokenizer,
    packing: Packing,
    reading: Reading,
    progress: Callable[[int], None],
) -> str:
    """A hash of everything that the contexts depend on. It contains the repr of `reading`."""
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
                    progress(done)
        except OSError as error:
            raise DatasetError(f"{file.path} cannot be read: {error.strerror}.", "Check its permissions.") from error
        # The tokens of a damaged optional file must not be found for the same file when it is not optional.
        digest.update(f"{file.kind.value} {file.compression.value} {file.optional} {content.hexdigest()}".encode())
    return digest.hexdigest()


def _require_enough(source: str, text_field: str, written: Written, context_length: int) -> None:
    rows = describe_bad_rows(written.bad_rows, written.bad_row_reasons) if written.bad_rows else ""
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
    return DatasetError(
        f"The dataset {source} consists of special tokens alone, at least in the part to train on or in the held-out part.",
        "Check that it was tokenised or written with text in it, or choose another.",
    )
