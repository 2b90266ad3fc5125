"""Reads activations: one forward pass for all sites, which ends when the last of them has been read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from saetui.activations.hooks import activation_of, hook_inputs, hook_outputs
from saetui.activations.models import LanguageModel
from saetui.activations.sites import Location, Site
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.vocabulary import carries_text
from saetui.errors import ModelError

Sink = Callable[[str, Tensor], None]
"""Takes a site's name and its activations (batch, context, d), which may change when the sink has returned."""


@dataclass(frozen=True)
class Activations:
    """The activations of one forward pass.

    Attributes:
        values: a tensor (batch, context, d) for each site's name.
        keep: (batch, context), False at special tokens, padding, and the first position.
    """

    values: Mapping[str, Tensor]
    keep: Tensor


class _LastSiteRead(Exception):
    """Ends a forward pass from within. This module catches it."""


class ActivationExtractor:
    """Reads the activations of some sites of a model.

    The layers after the last site and the head are not run. No gradients are recorded, but the tensors are ordinary ones that
    may be trained on. Hooks are there only during a call. For the same tokens in the same batch, on the same device with the
    same number of threads, the result is the same bit for bit.

    Args:
        model: the model.
        sites: each at most once, in any order.

    Raises:
        ModelError: the model has no such site, or a site was asked for twice.
    """

    def __init__(self, model: LanguageModel, sites: Sequence[Site]) -> None:
        if not sites or len(set(sites)) != len(sites):
            raise ModelError(
                f"Activations of {[site.name for site in sites]} cannot be read in one pass.",
                "Name at least one site, and each of them once.",
            )
        self.model = model
        self.sites = tuple(sites)
        self.locations: tuple[Location, ...] = tuple(model.locate(site) for site in sites)
        self._body: nn.Module = model.network.base_model

    @property
    def widths(self) -> dict[str, int]:
        """The width d of each site's activations."""
        return {location.site.name: location.d for location in self.locations}

    def __call__(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Activations:
        """Read all sites.

        Args:
            tokens: (batch, context) int64.
            attention_mask: (batch, context), 0 at padding. None for packed contexts, which have no padding.
        """
        values: dict[str, Tensor] = {}

        def keep_copy(name: str, activation: Tensor) -> None:
            values[name] = activation.clone()

        self.run(tokens, keep_copy, attention_mask)
        keep = self.keep(tokens)
        if attention_mask is not None:
            mask = attention_mask.to(keep.device).bool()
            # A context that is padded on the left begins after its padding.
            keep &= mask & (mask.cumsum(1) > 1)
        return Activations({site.name: values[site.name] for site in self.sites}, keep)

    def keep(self, tokens: Tensor) -> Tensor:
        """A mask of the tokens (batch, context) that carry text, on the model's device. It leaves out the first position."""
        return carries_text(tokens.to(self.model.device), self.model.special_ids)

    @torch.no_grad()
    def run(self, tokens: Tensor, sink: Sink, attention_mask: Tensor | None = None) -> None:
        """Run the model and give each site's activations to `sink` as they come, without a copy."""
        device = self.model.device
        tokens = tokens.to(device)
        mask = None if attention_mask is None else attention_mask.to(device)
        with self.model.lock, self._reading(sink, tokens.shape) as missing:
            try:
                self._body(input_ids=tokens, attention_mask=mask)
            except _LastSiteRead:
                return
        raise ModelError(
            f"{self.model.reference} ran without passing {', '.join(sorted(missing))}.",
            "Its structure is not understood; choose resid_pre or resid_post, or another model.",
        )

    @contextmanager
    def _reading(self, sink: Sink, shape: torch.Size) -> Iterator[set[str]]:
        missing = {site.name for site in self.sites}

        def read(name: str, factor: float, value: object) -> None:
            # A module that several layers share runs again. The first run is the layer's own.
            if name not in missing:
                return
            activation = activation_of(value, name)
            if activation.shape[:-1] not in (shape, (shape.numel(),)):
                raise ModelError(
                    f"At {name} the model has activations of shape {tuple(activation.shape)} for tokens of shape "
                    f"{tuple(shape)}: it is unknown which token a row belongs to.",
                    "Choose another hook point, or another model.",
                )
            activation = activation if factor == 1 else activation * factor
            sink(name, activation.reshape(shape[0], shape[1], activation.shape[-1]))
            missing.discard(name)
            if not missing:
                raise _LastSiteRead

        with ExitStack() as stack:
            for location in self.locations:
                module = self.model.module_at(location)
                hook = hook_inputs if location.side == "input" else hook_outputs
                stack.enter_context(hook(module, partial(read, location.site.name, location.factor)))
            yield missing


def extract_rows(
    extractor: ActivationExtractor, dataset: TokenDataset, indices: npt.NDArray[np.int64], micro_batch: int = 16
) -> Iterator[dict[str, Tensor]]:
    """Read the activations of some contexts of a dataset, in order, without special tokens and first positions.

    Args:
        extractor: reads the model.
        dataset: the tokens.
        indices: the contexts, for example `dataset.held_out`.
        micro_batch: contexts in a forward pass.

    Yields:
        For each micro-batch the kept rows (rows, d) of every site. Row j is the same token at all sites.
    """
    extractor.model.require_reads(dataset.context_length, dataset.manifest.largest_token)
    for start in range(0, len(indices), micro_batch):
        activations = extractor(dataset.read(indices[start : start + micro_batch]))
        yield {name: value[activations.keep] for name, value in activations.values.items()}
