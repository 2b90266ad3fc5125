"""Finds a transformer's layers, and the parts inside a layer, by their structure and the families' names."""

from __future__ import annotations

import inspect
from typing import Literal

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from saetui.activations.sites import HookPoint
from saetui.errors import ModelError

__all__ = ["find_in_layer", "find_layers", "text_config"]

Side = Literal["input", "output"]

# Every family of transformers that this was checked against uses one of these for the part that is meant.
_ATTENTION = ("self_attn", "attn", "attention", "self_attention", "self_attention_layer")
_MLP = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "moe")
# Norms between a part's output and the residual stream: Gemma 2 and 3, OLMo 2; GLM 4.
_AFTER_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm")
_AFTER_ATTENTION = ("post_self_attn_layernorm",)


def text_config(network: PreTrainedModel) -> PretrainedConfig:
    """The part of a model's configuration that describes its text decoder (or encoder)."""
    config: PretrainedConfig = network.config.get_text_config()
    return config


def find_layers(network: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Finds the list of decoder or encoder layers.

    It is the module list with as many members of one class as the configuration has layers. Where there
    are several (a vision tower next to the text), it is the one that lies nearest to the token embedding.

    Returns:
        Its path in the network (`transformer.h`) and the list.

    Raises:
        ModelError: there is none, or the model has an encoder and a decoder.
    """
    kind = type(network).__name__
    if getattr(network.config, "is_encoder_decoder", False):
        raise ModelError(
            f"{kind} has an encoder and a decoder; saetui reads models with one stack of layers.",
            "Choose a decoder such as GPT-2 or Llama, or an encoder such as BERT.",
        )
    count = getattr(text_config(network), "num_hidden_layers", None)
    found = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and len({type(part) for part in module}) == 1
    ]
    # Lists inside a layer (experts, say) may have the same length by chance: only outermost ones count.
    found = [(name, part) for name, part in found if not any(name.startswith(f"{other}.") for other, _ in found)]
    if not found:
        raise ModelError(
            f"{kind} has no list of {count} layers that saetui could find.",
            "Its structure is not understood; choose a model of another family.",
        )
    embedding = _embedding_name(network)
    return max(found, key=lambda item: _shared_depth(item[0], embedding))


def find_in_layer(layer: nn.Module, point: HookPoint) -> tuple[str, Side]:
    """Finds the module whose input or output is the activation at a hook point.

    Returns:
        The module's path inside the layer (empty for the layer itself), and the side of it.

    Raises:
        ModelError: the layer has no such part.
    """
    if point is HookPoint.RESID_PRE:
        return "", "input"
    if point is HookPoint.RESID_POST:
        return "", "output"
    path = {
        HookPoint.MLP_IN: _mlp_input,
        HookPoint.MLP_OUT: _mlp_output,
        HookPoint.ATTN_OUT: _attention_output,
    }[point](layer)
    if path is None:
        parts = ", ".join(name for name, _ in layer.named_children())
        raise ModelError(
            f"{point.value} was not found in {type(layer).__name__}, which consists of {parts}.",
            "Choose resid_pre or resid_post, which every model has.",
        )
    return path, "input" if point is HookPoint.MLP_IN else "output"


def _shared_depth(path: str, other: str) -> int:
    return next(
        (depth for depth, (a, b) in enumerate(zip(path.split("."), other.split("."))) if a != b), path.count(".")
    )


def _embedding_name(network: PreTrainedModel) -> str:
    embedding = network.get_input_embeddings()
    return next((name for name, module in network.named_modules() if module is embedding), "")


def _first(layer: nn.Module, paths: tuple[str, ...]) -> str | None:
    """The first of these paths that leads to a module of the layer."""
    names = {name for name, _ in layer.named_modules()}
    return next((path for path in paths if path in names), None)


def _mlp_input(layer: nn.Module) -> str | None:
    # OPT's two linear maps lie in the layer itself; BERT's first one has a module of its own.
    return _first(layer, (*_MLP, "fc1", "intermediate"))


def _mlp_output(layer: nn.Module) -> str | None:
    # In BERT the module `output` also adds the residual stream and normalises: its linear map is meant.
    return _without_residual(layer, _first(layer, (*_AFTER_MLP, *_MLP, "fc2", "output.dense")))


def _attention_output(layer: nn.Module) -> str | None:
    after = _first(layer, _AFTER_ATTENTION)
    if after is None and _first(layer, _AFTER_MLP):
        # post_attention_layernorm is the norm *before the MLP* in Llama, and behind the attention only
        # where the layer also has one behind the MLP.
        after = _first(layer, ("post_attention_layernorm",))
    if after is not None:
        return after
    nested = tuple(f"{name}.output.dense" for name in _ATTENTION)
    return _without_residual(layer, _first(layer, (*nested, *_ATTENTION)))


def _without_residual(layer: nn.Module, path: str | None) -> str | None:
    """The last linear map of a part that is given the residual stream and adds it itself, as in BLOOM."""
    if path is None:
        return None
    part = layer.get_submodule(path)
    if "residual" not in inspect.signature(part.forward).parameters:
        return path
    linear = [name for name, module in part.named_modules() if isinstance(module, nn.Linear)]
    return f"{path}.{linear[-1]}" if linear else None
