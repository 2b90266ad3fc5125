"""Loads a transformer from its safetensors files: the whole, or only the layers that are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import safe_open
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
"""The name of `from_pretrained`'s argument for the precision. The newer one came with transformers 4.56."""
_ENCODERS = ("bert-generation",)
"""Encoders like BERT that transformers does not list as such."""
_WITH_SOUND = getattr(modeling_auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {})
"""Families with sound, whose class with a language head came with transformers 5."""
_PREFIXED = ("paligemma",)
"""Families whose attention spans the whole text where there is no image before it, so that they see the tokens that they predict."""


@dataclass(frozen=True)
class Network:
    """A loaded transformer, whole or up to a layer.

    Attributes:
        module: the transformer. Its parts have the names of the whole one's.
        layers_name: the path of its list of layers, such as `transformer.h`.
        num_layers: the number of layers of the whole model.
        can_predict: whether it predicts next tokens. Never when it was loaded up to a layer.
    """

    module: PreTrainedModel
    layers_name: str
    num_layers: int
    can_predict: bool


def read_config(directory: Path) -> PretrainedConfig:
    """The configuration of a model, from its directory alone. No code of the model is run."""
    config: PretrainedConfig = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    for part in (config, config.get_text_config()):
        part.use_cache = False
    return config


def count_layers(config: PretrainedConfig) -> int | None:
    """The number of decoder or encoder layers of the whole model. None where the configuration does not have it."""
    count = getattr(config.get_text_config(), "num_hidden_layers", None)
    return count if isinstance(count, int) else None


def predicts(config: PretrainedConfig) -> bool:
    """Whether the family predicts next tokens."""
    return head_class(config) is not AutoModel


def head_class(config: PretrainedConfig) -> Any:
    """The class of transformers that loads a family with its language modelling head. AutoModel where it has none."""
    kind = config.model_type
    # Families in both lists (BERT) are encoders unless their configuration makes them decoders.
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
    """Load a transformer into the machine's memory, in evaluation mode and without gradients.

    With a last layer the model is built whole without memory (on torch's meta device) from its unchanged configuration, so that
    everything that a family derives from its number of layers stays the same. Then the layers after the last one and the head
    are removed, and their tensors are not read. A family that cannot be built so is loaded whole. The files are mapped: pages
    that are not used are not read. In the dtype of the files the parameters *are* the mapped pages, and take no memory of their
    own until they are moved.

    Args:
        directory: the model's.
        config: from `read_config`.
        dtype: of the parameters.
        last_layer: the last layer that is needed, counted from 0. None for the whole model with its head.

    Raises:
        ModelError: the directory is damaged, or this version of transformers does not know the model.
    """
    _require_unquantised(directory, config)
    opener = head_class(config)
    try:
        with _quiet():
            if last_layer is not None and (part := _load_part(directory, opener, config, dtype, last_layer + 1)):
                return part
            network, missing = _load(directory, opener, config, dtype)
        path, _ = find_layers(network)
    except ModelError:
        raise
    # A loader may raise any type of error over a broken model: strict fields, tensors, plain KeyErrors.
    except Exception as error:
        raise loading_error(directory, error) from error
    can_predict = last_layer is None and opener is not AutoModel and not missing
    return Network(network, path, _counted(network), can_predict)


def _load_part(
    directory: Path, opener: Any, config: PretrainedConfig, dtype: torch.dtype, layers: int
) -> Network | None:
    """The first layers of a model. None where its family cannot be built without the others."""
    try:
        family, config, path = _shortened(opener, config, layers)
        network, _ = _load(directory, family, config, dtype)
    except (ModelError, MemoryError):
        # A model whose part does not fit does not fit whole.
        raise
    # If the files are damaged, loading the whole model says so.
    except Exception:
        return None
    # A cast, because transformers' classes do not type their own class.
    cast(Any, network).__class__ = family.__base__
    return Network(network, path, _counted(network), False)


def _load(
    directory: Path, family: Any, config: PretrainedConfig, dtype: torch.dtype
) -> tuple[PreTrainedModel, list[str]]:
    """A network with the weights of a directory, and the names of the weights that the files lack."""
    loaded: object = family.from_pretrained(
        directory,
        config=config,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        # Refused below, with their names.
        ignore_mismatched_sizes=True,
        **{_DTYPE: dtype},
    )
    network, report = cast(tuple[PreTrainedModel, dict[str, Iterable[Any]]], loaded)
    _require_same_shapes(directory, network, sorted(report["mismatched_keys"]))
    missing = sorted(report["missing_keys"])
    _require_all_weights(network, missing)
    module: nn.Module = network
    nn.Module.eval(module)
    module.requires_grad_(False)
    return network, missing


def _counted(network: PreTrainedModel) -> int:
    total = count_layers(network.config)
    assert total is not None, "the layers were found by their number"
    return total


def loading_error(directory: Path, error: Exception) -> ModelError:
    """The error for a directory that transformers cannot load."""
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
    """A class of the family that makes models of the first layers without a head; its configuration; its layers' path."""
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
    """Remove the parts on top of a new model's body, except a head that shares the embedding's weight."""
    body = network.base_model
    if body is network:
        return
    # transformers 5 has the names of shared weights. In 4 the weights of a new model are shared already.
    tied = set(getattr(network, "all_tied_weights_keys", ()))
    inside = {id(parameter) for parameter in body.parameters()}
    for name, part in list(network.named_children()):
        shares = any(f"{name}.{inner}" in tied or id(weight) in inside for inner, weight in part.named_parameters())
        if part is not body and not shares:
            setattr(network, name, None)
    # Weights that were tied to a removed layer or head are tied no longer.
    there = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    if tied:
        pairs = cast(dict[str, str], network.all_tied_weights_keys).items()
        cast(Any, network).all_tied_weights_keys = {a: b for a, b in pairs if a in there and b in there}


def _require_unquantised(directory: Path, config: PretrainedConfig) -> None:
    quantised = getattr(config, "quantization_config", None)
    if quantised is not None:
        method = quantised.get("quant_method") if isinstance(quantised, dict) else None
        raise ModelError(
            f"The weights in {directory} are quantised{f' ({method})' if method else ''}, which saetui does not read.",
            "Choose the model's weights in float32, float16 or bfloat16.",
        )


def _require_same_shapes(
    directory: Path, network: PreTrainedModel, mismatched: list[str | tuple[str, torch.Size, torch.Size]]
) -> None:
    for entry in mismatched:
        # transformers 4 names the tensors alone.
        key, found = (entry, _shape_in_files(directory, entry)) if isinstance(entry, str) else entry[:2]
        if _is_body(network, key):
            shape = "another shape" if found is None else f"the shape {tuple(found)}"
            wanted = tuple(network.state_dict()[key].shape)
            raise ValueError(f"its tensor {key} has {shape}, and its config.json asks for {wanted}")


def _shape_in_files(directory: Path, key: str) -> Sequence[int] | None:
    """The shape that a tensor has in the model's files. None where they know it by another name."""
    for file in sorted(directory.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            if key in opened.keys():  # noqa: SIM118  # not a mapping
                return cast(Sequence[int], opened.get_slice(key).get_shape())
    return None


def _require_all_weights(network: PreTrainedModel, missing: list[str]) -> None:
    body = [key for key in missing if _is_body(network, key)]
    if body:
        raise ValueError(
            f"its weights lack {len(body)} of the tensors that its config.json asks for, the first being {body[0]}"
        )


def _is_body(network: PreTrainedModel, key: str) -> bool:
    """Whether a parameter belongs to the part that gives activations, not to a head or a pooler on top of it."""
    prefix = network.base_model_prefix
    inside = key.startswith(f"{prefix}.") if hasattr(network, prefix) else True
    return inside and "pooler." not in key


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and tables of tensors that are left out on purpose away from logs and screens."""
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
