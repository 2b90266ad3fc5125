"""Finds a transformer's layers and the parts of a layer, by their structure and the families' names."""

from __future__ import annotations

import inspect

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from saetui.activations.sites import HookPoint
from saetui.errors import ModelError

# Every family of transformers that was checked uses one of these names.
_ATTENTION = ("self_attn", "attn", "attention", "self_attention", "self_attention_layer", "multi_head_attention")
# Parts in place of the attention in some layers of hybrid models: Qwen3-Next, LFM2, Jamba, RecurrentGemma.
_OTHER_MIXERS = ("linear_attn", "conv", "mamba", "temporal_block")
_MLP = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "moe", "mlp_block")
# Norms between a part's output and the residual stream: Gemma 2 and 3, OLMo 2; GLM 4.
_AFTER_MLP = ("post_feedforward_layernorm", "post_mlp_layernorm")
_AFTER_ATTENTION = ("post_self_attn_layernorm",)
_TWO_STACKS = ("diffusion_gemma",)
"""Families with an encoder and a decoder whose configuration does not say so."""


def text_config(network: PreTrainedModel) -> PretrainedConfig:
    """The part of a model's configuration that describes its text decoder (or encoder)."""
    config: PretrainedConfig = network.config.get_text_config()
    return config


def find_layers(network: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Find the list of decoder or encoder layers.

    It is the module list with as many members as the configuration has layers. Of several (a vision tower next to the text)
    it is the one nearest to the token embedding.

    Returns:
        Its path in the network (`transformer.h`) and the list.

    Raises:
        ModelError: there is none, the model has an encoder and a decoder, or its layers are divided into several lists
            (XLM: all attentions in one, all MLPs in another).
    """
    kind = type(network).__name__
    if getattr(network.config, "is_encoder_decoder", False) or network.config.model_type in _TWO_STACKS:
        raise ModelError(
            f"{kind} has an encoder and a decoder; saetui reads models with one stack of layers.",
            "Choose a decoder such as GPT-2 or Llama, or an encoder such as BERT.",
        )
    count = getattr(text_config(network), "num_hidden_layers", None)
    found = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    # Lists inside a layer (of experts, for example) may have the same length by chance: only outermost ones count.
    found = [(name, part) for name, part in found if not any(name.startswith(f"{other}.") for other, _ in found)]
    if not found:
        raise ModelError(
            f"{kind} has no list of {count} layers that saetui could find.",
            "Its structure is not understood; choose a model of another family.",
        )
    embedding = _embedding_name(network)
    # There may be an image encoder at the same depth as the layers, further down, or a list of norms.
    best = max(_nearness(name, embedding) for name, _ in found)
    nearest = [(name, part) for name, part in found if _nearness(name, embedding) == best]
    whole = [(name, part) for name, part in nearest if _first(part[0], (*_ATTENTION, *_OTHER_MIXERS, *_MLP))]
    if len(nearest) > 1 and len(whole) != 1:
        raise ModelError(
            f"{kind} has several lists of {count} parts: {', '.join(name for name, _ in nearest)}.",
            "Its structure is not understood; choose a model of another family.",
        )
    return (whole or nearest)[0]


def find_text_stack(network: PreTrainedModel, layers_name: str) -> nn.Module:
    """The smallest module with the token embedding and the layers, without an image tower or a head."""
    shared = _shared_steps(layers_name, _embedding_name(network))
    body: nn.Module = network.base_model
    return network.get_submodule(".".join(layers_name.split(".")[:shared])) if shared else body


def contribution_names(layer: nn.Module, point: HookPoint) -> list[str]:
    """The paths in a layer of its attention or MLP by the families' names, for `attn_out` or `mlp_out`.

    A norm that follows the part comes first, the part itself last. The list is empty where the layer has no such part.
    """
    if point is HookPoint.MLP_OUT:
        return _found(_without_residual(layer, _first(layer, _AFTER_MLP)), _mlp_output(layer))
    after = _first(layer, _AFTER_ATTENTION)
    if after is None and _first(layer, _AFTER_MLP):
        # In Llama post_attention_layernorm is the norm *before the MLP*. It follows the attention only in layers that also
        # have a norm after the MLP.
        after = _first(layer, ("post_attention_layernorm",))
    return _found(after, _attention_output(layer))


def mlp_input_names(layer: nn.Module) -> list[str]:
    """The paths in a layer of modules whose input may be `mlp_in`, the most likely first."""
    # OPT has its two linear maps in the layer itself, and BERT a module for the first one.
    names = {name for name, _ in layer.named_modules()}
    return [path for path in (*_MLP, "fc1", "intermediate") if path in names]


def no_such_part(layer: nn.Module, point: HookPoint) -> ModelError:
    """The refusal of a site whose part the layer does not have."""
    parts = ", ".join(name for name, _ in layer.named_children())
    return ModelError(
        f"{point.value} was not found in {type(layer).__name__}, which consists of {parts}.",
        "Choose resid_pre or resid_post, which every model has.",
    )


def _nearness(path: str, embedding: str) -> tuple[int, int]:
    """How near a path is to the embedding's: by the number of steps that they share, then by how few steps the path has."""
    return _shared_steps(path, embedding), -path.count(".")


def _shared_steps(path: str, other: str) -> int:
    pairs = zip(path.split("."), other.split("."))
    return next((depth for depth, (a, b) in enumerate(pairs) if a != b), path.count("."))


def _embedding_name(network: PreTrainedModel) -> str:
    embedding = network.get_input_embeddings()
    return next((name for name, module in network.named_modules() if module is embedding), "")


def _first(layer: nn.Module, paths: tuple[str, ...]) -> str | None:
    """The first of these paths that exists in the layer."""
    names = {name for name, _ in layer.named_modules()}
    return next((path for path in paths if path in names), None)


def _found(*paths: str | None) -> list[str]:
    return [path for path in paths if path is not None]


def _mlp_output(layer: nn.Module) -> str | None:
    # BERT's module `output` also adds the residual stream and normalises, so its linear map is taken.
    return _without_residual(layer, _first(layer, (*_MLP, "fc2", "output.dense")))


def _attention_output(layer: nn.Module) -> str | None:
    nested = tuple(f"{name}.output.dense" for name in _ATTENTION)
    return _without_residual(layer, _first(layer, (*nested, *_ATTENTION, *_OTHER_MIXERS)))


def _without_residual(layer: nn.Module, path: str | None) -> str | None:
    """A part's path, or that of its last linear map where the part adds the residual stream itself, as in BLOOM."""
    if path is None:
        return None
    part = layer.get_submodule(path)
    if "residual" not in inspect.signature(part.forward).parameters:
        return path
    linear = [name for name, module in part.named_modules() if isinstance(module, nn.Linear)]
    return f"{path}.{linear[-1]}" if linear else None
