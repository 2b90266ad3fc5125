"""The whole of a model that was opened up to a layer, loaded while its predictions are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil
import torch
from torch import nn

from saetui.activations.model_loading import load_network, predicts, read_config
from saetui.activations.models import LanguageModel
from saetui.display.figures import size

KEEP_BYTES = 256 * 2**20
"""A rest up to this size stays loaded between two evaluations. A larger one is read again each time."""
_SPARE_SHARE = 0.10
"""This share of the free memory is left for the forward pass itself (logits, attention)."""


@dataclass(frozen=True)
class NoWholeModel:
    """The whole model cannot be used now; `reason` is a clause for a sentence."""

    reason: str


class WholeModel:
    """Loads the rest of a model when its predictions are needed.

    The layers and the embedding that are loaded already are shared: only the layers after them and the head come from
    the files. A small rest (`keep_bytes`) stays loaded as long as this object lives. A large one is freed after each use
    and read again for the next one.

    Args:
        model: a model, whole or up to a layer.
        keep_bytes: the largest rest that stays loaded.
    """

    def __init__(self, model: LanguageModel, keep_bytes: int = KEEP_BYTES) -> None:
        self._model = model
        self._keep_bytes = keep_bytes
        self._kept = model if model.is_whole else None
        self.can_predict = model.can_predict if model.is_whole else predicts(read_config(model.directory))
        """Whether the model's family predicts next tokens. If not, the whole model is never loaded."""

    @contextmanager
    def opened(self) -> Iterator[LanguageModel | NoWholeModel]:
        """The whole model as long as the context lasts, or why there is none.

        Raises:
            ModelError: the model's files have changed.
        """
        if not self.can_predict:
            yield NoWholeModel(f"{self._model.reference} does not predict next tokens")
            return
        if self._kept is not None:
            yield self._kept
            return
        whole, rest = self._load()
        available = _available(self._model.device)
        if not whole.can_predict:
            yield NoWholeModel(f"the files of {whole.reference} have no language modelling head")
        elif rest > available * (1 - _SPARE_SHARE):
            yield NoWholeModel(
                f"the rest of {whole.reference} takes {size(rest)}, and {size(available)} are free on {whole.device}"
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
        """The whole model and the bytes of its rest, which is still in the files' mapped pages."""
        model = self._model
        loaded = load_network(model.directory, read_config(model.directory), model.dtype)
        network = loaded.module
        # The same lock: hooks on shared layers are called when either network runs.
        named, predicts = loaded.layers_name, loaded.can_predict
        whole = replace(model, network=network, layers_name=named, is_whole=True, can_predict=predicts)
        for index, layer in enumerate(model.layers):
            whole.layers[index] = layer
        network.set_input_embeddings(model.network.get_input_embeddings())
        network.tie_weights()
        shared = {id(parameter) for parameter in model.network.parameters()}
        rest = sum(part.nbytes for part in network.parameters() if id(part) not in shared)
        return whole, rest


def _available(device: torch.device) -> int:
    """The free bytes on a device, with those that torch holds in reserve."""
    if device.type != "cuda" or torch.cuda.get_device_properties(device).is_integrated:
        return int(psutil.virtual_memory().available)
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
