"""A dataset as contexts of tokens on disk, divided into training and held-out contexts."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.token_writer import KEPT
from saetui.activations.vocabulary import carries_text
from saetui.formats.caches import TokenManifest

Contexts = npt.NDArray[np.int64]

_BLOCK = 8
_SHARE = 20
"""Every 20th block of 8 contexts is held out."""


@dataclass(frozen=True, eq=False)
class TokenDataset:
    """Contexts of tokens on disk, of which some are held out for evaluation.

    Of blocks of 8 contexts every 20th, the eleventh first, is held out: held-out text is spread over the dataset, and its
    neighbours are mostly held out too. With fewer than 11 blocks the last twentieth of the contexts is held out, at least one.

    Attributes:
        key: a hash of text, tokenizer and packing.
        path: the file of tokens.
        manifest: describes the file.
        special_ids: tokens that are not trained on. The first position of a context is not trained on either.
        cached: whether the tokens were in the cache already.
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
        """A sentence on the bad rows with the first few reasons. None where there are none."""
        if not self.bad_rows:
            return None
        return f"Left out of {self.manifest.source}: {describe_bad_rows(self.bad_rows, self.manifest.bad_row_reasons)}."

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: how rows were read, and which were left out."""
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
        """Tokens of one epoch: the kept ones of `train`."""
        return int(self.kept.sum()) - self.held_out_tokens

    @cached_property
    def held_out_tokens(self) -> int:
        """The kept tokens of `held_out`."""
        return int(self.kept[self.held_out].sum())

    @cached_property
    def kept(self) -> Contexts:
        """How many tokens of each context are kept and give a row, (contexts,)."""
        return np.frombuffer(self._map, KEPT, self.contexts, self._tokens.nbytes).astype(np.int64)

    def read(self, indices: Contexts) -> Tensor:
        """Read contexts: a tensor (len(indices), context_length) int64."""
        tokens = torch.from_numpy(self._tokens[indices].astype(np.int64))
        # The pages stay in the system's cache, but no longer count as memory of this process.
        self._map.madvise(mmap.MADV_DONTNEED)
        return tokens

    def keep(self, tokens: Tensor) -> Tensor:
        """A mask of the tokens (B, T) that are trained on and evaluated: not special ones, and not the first position."""
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


def describe_bad_rows(bad_rows: int, reasons: Sequence[str]) -> str:
    """As "5 bad rows (REASON; REASON; REASON; and 2 more)"."""
    shown = [reason.rstrip(".") for reason in reasons]
    if bad_rows > len(shown):
        shown.append(f"and {bad_rows - len(shown)} more")
    return f"{bad_rows} bad row{'' if bad_rows == 1 else 's'} ({'; '.join(shown)})"
