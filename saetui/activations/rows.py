"""Rows of activations, and the protocol of what gives them: a model, or a cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.token_dataset import TokenDataset

ContextIndices = npt.NDArray[np.int64]
RowSink = Callable[[str, Tensor], None]
"""Takes a site's name and the rows (n, d) of all contexts that were asked for, without special tokens and first positions.

The rows belong to the sink. A site may come a second time, whole, after memory was short.
"""


class RowReader(Protocol):
    """Gives the rows of some contexts of a dataset, context by context, each in the order of the text."""

    @property
    def widths(self) -> dict[str, int]:
        """The width d of each site's rows."""

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the rows."""

    @property
    def device(self) -> torch.device:
        """Where the rows are."""

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        """Give the rows of these contexts to `sink`, once for each site. Row j is the same token at all sites."""


class ModelRows:
    """Rows straight from a model.

    Args:
        extractor: reads the model.
        dataset: the tokens.

    Raises:
        ModelError: the model cannot read the dataset's contexts.
    """

    def __init__(self, extractor: ActivationExtractor, dataset: TokenDataset) -> None:
        extractor.model.require_reads(dataset.context_length, dataset.manifest.largest_token)
        self._extractor = extractor
        self._dataset = dataset

    @property
    def widths(self) -> dict[str, int]:
        return self._extractor.widths

    @property
    def dtype(self) -> torch.dtype:
        return self._extractor.model.dtype

    @property
    def device(self) -> torch.device:
        return self._extractor.model.device

    def read(self, contexts: ContextIndices, sink: RowSink) -> None:
        tokens = self._dataset.read(contexts)
        kept = torch.nonzero(self._dataset.keep(tokens).reshape(-1))[:, 0].to(self.device)
        self._extractor.run(tokens, lambda name, value: sink(name, value.reshape(-1, value.shape[-1])[kept]))
