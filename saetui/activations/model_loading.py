"""A transformer's weights from its safetensors files: all of it, or no more than the layers that are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto import modeling_auto
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging

from saetui.activations.structure import find_layers
from saetui.errors import ModelError

_LONGEST_REASON = 300
_DTYPE = "torch_dtype" if tuple(map(int, transformers.__version__.split(".")[:2])) < (4, 56) else "dtype"
"""What `from_pretrained` calls the precision: the newer name came with transformers 4.56."""
_ENCODERS = ("bert-generation",)
"""Families like BERT that transformers does not list as such."""
_WITH_SOUND = getattr(modeling_auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {})
"""Families that hear, whose class for their language head came with transformers 5."""
_PREFIXED = ("paligemma",)
"""Families that see the whole text at once where no image says where it begins, and so see what they predict."""


__all__ = ["Network", "count_layers", "head_class", "load_network", "loading_error", "predicts", "read_config"]


@dataclass(frozen=True)
class Network:
    """A transformer that is loaded, whole or up to a layer.

    Attributes:
        module: the transformer; names of its parts are those of the whole one.
        layers_name: the path of its list of layers, as `transformer.h`.
        num_layers: the layers of the whole model.
        can_predict: whether it predicts next tokens: never when it was loaded up to a layer.
    """

    module: PreTrainedModel
    layers_name: str
    num_layers: int
    can_predict: bool


def read_config(directory: Path) -> PretrainedConfig:
    """The configuration of a model, from its directory alone; no code that came with it is run."""
    config: PretrainedConfig = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    for part in (config, config.get_text_config()):
        part.use_cache = False
    return config


def count_layers(config: PretrainedConfig) -> int | None:
    """How many decoder or encoder layers the whole model has, or None where the configuration does not say."""
    count = getattr(config.get_text_config(), "num_hidden_layers", None)
    return count if isinstance(count, int) else None


def predicts(config: PretrainedConfig) -> bool:
    """Whether the family predicts next tokens."""
    return head_class(config) is not AutoModel


def head_class(config: PretrainedConfig) -> Any:
    """The class of transformers that opens a family with its language modelling head, or AutoModel where it has none."""
    kind = config.model_type
    # Families in both lists (BERT) are encoders unless their configuration says otherwise.
    if (kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES or kind in _ENCODERS) and not getattr(config, "is_decoder", False):
        return AutoModel
    if kind in _PREFIXED:
        return AutoModel
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForCausalLM
    if kind in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return AutoModelForImageTextToText
    return transformers.AutoModelForMultimodalLM if kind in _WITH_SOUND else AutoModel


def load_network(
    directory: Path, config: PretrainedConfig, dtype: torch.dtype, last_layer: int | None = None
) -> Network:
    """Loads weights into the machine's memory, in evaluation mode and without gradients.

    With a last layer the model is built whole without memory (on torch's meta device), from its unchanged
    configuration, and loses the layers behind that one and its head before anything is loaded: what a family
    derives from its number of layers stays what it is, and their tensors are not read. A family that cannot
    be built so is loaded whole. The files are mapped, so that what is never touched never leaves the disk. In
    the dtype of the files the parameters *are* the mapped pages, and cost no memory of their own until they
    are moved.

    Args:
        directory: of the model.
        config: from `read_config`.
        dtype: of the parameters.
        last_layer: the last that is needed, counted from 0; None for the whole model with its head.

    Raises:
        ModelError: the directory is damaged, or this version of transformers does not know the model.
    """
    _refuse_quantised(directory, config)
    opener = head_class(config)
    try:
        with _quiet():
            if last_layer is not None and (part := _load_part(directory, opener, config, dtype, last_layer + 1)):
                return part
            network, missing = _load(directory, opener, config, dtype)
        path, _ = find_layers(network)
    except ModelError:
        raise
    # What a loader raises over a broken model is of any type: strict fields, tensors, plain KeyErrors.
    except Exception as error:
        raise loading_error(directory, error) from error
    can_predict = last_layer is None and opener is not AutoModel and not missing
    return Network(network, path, _counted(network), can_predict)


def _load_part(
    directory: Path, opener: Any, config: PretrainedConfig, dtype: torch.dtype, layers: int
) -> Network | None:
    """The first layers of a model, or None where its family cannot be built without the others."""
    try:
        family, config, path = _shortened(opener, config, layers)
        network, _ = _load(directory, family, config, dtype)
    except (ModelError, MemoryError):
        # Where there is no room for a part there is none for the whole.
        raise
    # If the files are what is wrong, loading the whole model says so.
    except Exception:
        return None
    # A cast, since transformers' classes say nothing of their own class.
    cast(Any, network).__class__ = family.__base__
    return Network(network, path, _counted(network), False)


def _load(
    directory: Path, family: Any, config: PretrainedConfig, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """A network with the weights of a directory, and the names of those that it asks for and the files lack."""
    loaded: object = family.from_pretrained(
        directory,
        config=config,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        # They are refused below, with their names.
        ignore_mismatched_sizes=True,
        **{_DTYPE: dtype},
    )
    network, report = cast(tuple[PreTrainedModel, dict[str, Iterable[Any]]], loaded)
    _refuse_other_shapes(network, sorted(report["mismatched_keys"]))
    missing = sorted(report["missing_keys"])
    _refuse_random_weights(network, missing)
    module: nn.Module = network
    nn.Module.eval(module)
    module.requires_grad_(False)
    return network, missing


def _counted(network: PreTrainedModel) -> int:
    total = count_layers(network.config)
    assert total is not None, "the layers were found by their number"
    return total


def loading_error(directory: Path, error: Exception) -> ModelError:
    """What a user reads when transformers cannot make a model of a directory."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if "trust_remote_code" in reason:
        return ModelError(
            f"The model in {directory} needs code of its own, which saetui does not run.",
            "Choose a model of a family that transformers knows.",
        )
    if len(reason) > _LONGEST_REASON:
        reason = f"{reason[:_LONGEST_REASON]}…"
    return ModelError(
        f"The model in {directory} cannot be loaded: {reason.rstrip('.')}.",
        "Check that the directory was copied whole, and that this version of transformers knows the model.",
    )


def _shortened(opener: Any, config: PretrainedConfig, layers: int) -> tuple[Any, PretrainedConfig, str]:
    """The family's class, such that a new model has its first layers alone and no head; its configuration; its layers' path."""
    with torch.device("meta"):
        whole: PreTrainedModel = opener.from_config(config)
    family = type(whole)
    path, _ = find_layers(whole)

    def build(self: PreTrainedModel, config: PretrainedConfig, *args: Any, **kwargs: Any) -> None:
        family.__init__(self, config, *args, **kwargs)
        del cast(nn.ModuleList, self.get_submodule(path))[layers:]
        _drop_heads(self)

    return type(family.__name__, (family,), {"__init__": build, "__module__": family.__module__}), whole.config, path


def _drop_heads(network: PreTrainedModel) -> None:
    """Takes from a new model what stands on top of its body, but for a head that shares the embedding's weight."""
    body = network.base_model
    if body is network:
        return
    # In transformers 5 the names of shared weights; in 4 the weights of a new model are shared already.
    tied = set(getattr(network, "all_tied_weights_keys", ()))
    inside = {id(parameter) for parameter in body.parameters()}
    for name, part in list(network.named_children()):
        shares = any(f"{name}.{inner}" in tied or id(weight) in inside for inner, weight in part.named_parameters())
        if part is not body and not shares:
            setattr(network, name, None)
    # What was tied to a layer or a head that is no longer there.
    there = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    if tied:
        pairs = cast(dict[str, str], network.all_tied_weights_keys).items()
        cast(Any, network).all_tied_weights_keys = {a: b for a, b in pairs if a in there and b in there}


def _refuse_quantised(directory: Path, config: PretrainedConfig) -> None:
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise ModelError(
            f"The weights in {directory} are quantised{f' ({method})' if method else ''}, which saetui does not read.",
            "Choose the model's weights in float32, float16 or bfloat16.",
        )


def _refuse_other_shapes(network: PreTrainedModel, mismatched: list[tuple[str, torch.Size, torch.Size]]) -> None:
    for key, found, wanted in mismatched:
        if _is_body(network, key):
            raise ValueError(
                f"its tensor {key} has the shape {tuple(found)}, and its config.json asks for {tuple(wanted)}"
            )


def _refuse_random_weights(network: PreTrainedModel, missing: list[str]) -> None:
    body = [key for key in missing if _is_body(network, key)]
    if body:
        raise ValueError(
            f"its weights lack {len(body)} of the tensors that its config.json asks for, the first being {body[0]}"
        )


def _is_body(network: PreTrainedModel, key: str) -> bool:
    """Whether a parameter belongs to what produces activations, not to a head or a pooler on top of it."""
    prefix = network.base_model_prefix
    inside = key.startswith(f"{prefix}.") if hasattr(network, prefix) else True
    return inside and "pooler." not in key


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar for each file, and no table of the tensors that were left out on purpose, in logs and screens."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
