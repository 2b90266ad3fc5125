"""The whole of a model that was opened up to a layer: there while its predictions are asked for, then gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
import torch
from torch import nn

from saetui.activations.model_loading import load_network, predicts, read_config
from saetui.activations.models import LanguageModel

__all__ = ["Predictor", "Unavailable"]

KEEP_BYTES = 256 * 2**20
"""A rest up to this size stays loaded between two evaluations; a larger one is read anew each time."""
_SPARE_SHARE = 0.10
"""Of what is free, so much is left for the forward pass itself (logits, attention)."""


@dataclass(frozen=True)
class Unavailable:
    """There is no whole model now; `reason` is a clause for a sentence."""

    reason: str


class Predictor:
    """Lends the whole of a model.

    The layers and the embedding that are loaded already are shared, not loaded twice: only the layers
    behind them and the head come from the files. A small rest (`keep_bytes`) stays until the predictor
    goes; a large one is given back when the loan ends, at the price of reading it again for the next one.

    Args:
        model: a model, whole or up to a layer.
        keep_bytes: the largest rest that stays.
    """

    def __init__(self, model: LanguageModel, keep_bytes: int = KEEP_BYTES) -> None:
        self._model = model
        self._keep_bytes = keep_bytes
        self._kept = model if model.is_whole else None
        self.can_predict = model.can_predict if model.is_whole else predicts(read_config(model.directory))
        """Whether the model's family predicts next tokens; if not, nothing is ever lent."""

    @contextmanager
    def opened(self) -> Iterator[LanguageModel | Unavailable]:
        """The whole model as long as the context lasts, or why there is none.

        Raises:
            ModelError: the model's files are no longer what they were.
        """
        if not self.can_predict:
            yield Unavailable(f"{self._model.reference} does not predict next tokens")
            return
        if self._kept is not None:
            yield self._kept
            return
        whole, rest = self._load()
        available = _available(self._model.device)
        if not whole.can_predict:
            yield Unavailable(f"the files of {whole.reference} have no language modelling head")
        elif rest > available * (1 - _SPARE_SHARE):
            yield Unavailable(
                f"the rest of {whole.reference} takes {rest / 2**20:,.0f} MiB, "
                f"and {available / 2**20:,.0f} MiB are free on {whole.device}"
            )
        else:
            module: nn.Module = whole.network
            module.to(self._model.device)
            if rest <= self._keep_bytes:
                self._kept = whole
            yield whole
            del module
        del whole
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()

    def _load(self) -> tuple[LanguageModel, int]:
        """The whole model, of which what is not shared is still in the files' pages, and the bytes of that."""
        model = self._model
        loaded = load_network(model.directory, read_config(model.directory), model.dtype)
        found = LanguageModel.of(model.reference, model.revision, model.directory, loaded, model.tokenizer, True)
        network = loaded.module
        # Hooks set on shared layers see both networks run.
        whole = replace(found, lock=model.lock)
        for index, layer in enumerate(model.layers):
            whole.layers[index] = layer
        network.set_input_embeddings(model.network.get_input_embeddings())
        network.tie_weights()
        shared = {id(parameter) for parameter in model.network.parameters()}
        rest = sum(part.nbytes for part in network.parameters() if id(part) not in shared)
        return whole, rest


def _available(device: torch.device) -> int:
    """Bytes that can still be had on a device, what torch holds in reserve included."""
    if device.type != "cuda" or torch.cuda.get_device_properties(device).is_integrated:
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
