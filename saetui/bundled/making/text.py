"""The text of the bundled model: the standard library's files, split by name, and a tokenizer learned from them."""

from __future__ import annotations

import hashlib
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from saetui.bundled import stdlib_files, stdlib_root
from saetui.errors import DatasetError

END_OF_TEXT = "<|endoftext|>"
"""The token before every document: the only special one, and both the bos and the eos of the model."""

HELD_OUT_SHARE = 16
"""One file in so many is never trained on."""


@dataclass(frozen=True)
class SplitText:
    """The standard library's text: the part for training, and the part for the evaluation.

    Attributes:
        training: the documents to train on, in the order of their names.
        held_out: the documents that neither the tokenizer, nor the model, nor its baselines have seen.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def is_held_out(relative_path: str) -> bool:
    """Whether a file is never trained on. Its name alone decides, the same on every machine and version.

    `relative_path`: below the standard library's root, with forward slashes.
    """
    digest = hashlib.sha256(relative_path.encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_SHARE == 0


def read_stdlib(limit: int | None = None) -> SplitText:
    """Read the running Python's standard library, split into training and held-out documents.

    `limit`: at most so many files of each part, spread evenly over the names, for a quick test.

    Raises:
        DatasetError: this Python has no source of its standard library, or a file of it cannot be read.
    """
    root = stdlib_root()
    parts: tuple[list[Path], list[Path]] = ([], [])
    for path in stdlib_files():
        parts[is_held_out(path.relative_to(root).as_posix())].append(path)
    training, held_out = (_spread(part, limit) for part in parts)
    return SplitText(training=tuple(_read(path) for path in training), held_out=tuple(_read(path) for path in held_out))


def train_tokenizer(documents: Iterable[str], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE, which can represent every text exactly.

    Args:
        vocabulary: the number of tokens at most, the 256 bytes and `END_OF_TEXT` included.
        context: the longest sequence that the model takes, stored as `model_max_length`.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        documents,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers left it without types
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def encode_documents(documents: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> list[Tensor]:
    """The token ids of each document, `END_OF_TEXT` first.

    Returns:
        One int64 tensor of shape (tokens + 1,) for each document.
    """
    separator = tokenizer.bos_token_id
    encodings = tokenizer.backend_tokenizer.encode_batch(list(documents), add_special_tokens=False)
    return [torch.tensor([separator, *encoding.ids], dtype=torch.int64) for encoding in encodings]


def count_bytes(documents: Iterable[str]) -> int:
    """The length of the documents in UTF-8, the unit in which models of different tokenizers compare."""
    return sum(len(document.encode()) for document in documents)


def _spread(paths: list[Path], limit: int | None) -> list[Path]:
    if limit is None or len(paths) <= limit:
        return paths
    return [paths[i * len(paths) // limit] for i in range(limit)]


def _read(path: Path) -> str:
    try:
        # A Python source file declares its own encoding.
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"{path} of the standard library cannot be read: {error}.",
            "Repair this Python's installation, or choose another dataset.",
        ) from error
