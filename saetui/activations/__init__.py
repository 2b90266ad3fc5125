"""Text in, activations out: models, hook sites, tokens, and the shuffling buffer.

Usable from a notebook without the rest of saetui:

    model = open_model("bundled:tiny")
    data = prepare_tokens("bundled:stdlib", model.tokenizer, context_length=128, cache_directory=Path("cache"))
    extractor = ActivationExtractor(model, [Site(2, HookPoint.RESID_POST)])
    stream = BatchStream(extractor, data, batch_size=4096, seed=0)
    x = stream.next()["layer_2.resid_post"]

The names below load their modules (and with them torch) when they are first used, not before.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saetui.activations.buffer import BatchStream, buffer_bytes
    from saetui.activations.extraction import ActivationExtractor, Activations, extract_rows
    from saetui.activations.models import LanguageModel, open_model
    from saetui.activations.order import ContextOrder
    from saetui.activations.sites import HookPoint, Location, Site
    from saetui.activations.splice import Splice, TokenLoss, cross_entropy
    from saetui.activations.token_dataset import TokenDataset
    from saetui.activations.tokens import TokenProgress, prepare_tokens
    from saetui.activations.whole_model import NoWholeModel, WholeModel

__all__ = [
    "ActivationExtractor",
    "Activations",
    "BatchStream",
    "ContextOrder",
    "HookPoint",
    "LanguageModel",
    "Location",
    "NoWholeModel",
    "Site",
    "Splice",
    "TokenDataset",
    "TokenLoss",
    "TokenProgress",
    "WholeModel",
    "buffer_bytes",
    "cross_entropy",
    "extract_rows",
    "open_model",
    "prepare_tokens",
]

_MODULES = {
    "buffer": ("BatchStream", "buffer_bytes"),
    "extraction": ("ActivationExtractor", "Activations", "extract_rows"),
    "models": ("LanguageModel", "open_model"),
    "order": ("ContextOrder",),
    "sites": ("HookPoint", "Location", "Site"),
    "splice": ("Splice", "TokenLoss", "cross_entropy"),
    "token_dataset": ("TokenDataset",),
    "tokens": ("TokenProgress", "prepare_tokens"),
    "whole_model": ("NoWholeModel", "WholeModel"),
}
_HOME_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
