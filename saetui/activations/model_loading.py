"""A transformer's weights from its safetensors files: all of it, or no more than the layers that are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging

from saetui.errors import ModelError

_LONGEST_REASON = 300

__all__ = ["count_layers", "load_network", "loading_error", "predicts", "read_config"]


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
    kind = config.model_type
    # Families in both lists (BERT) are encoders unless their configuration says otherwise.
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (
        kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or bool(getattr(config, "is_decoder", False))
    )


def load_network(
    directory: Path, config: PretrainedConfig, dtype: torch.dtype, last_layer: int | None = None
) -> tuple[PreTrainedModel, bool]:
    """Loads weights into the machine's memory, in evaluation mode and without gradients.

    With a last layer the model is built without those behind it and without a head, and their tensors are
    not read: the files are mapped, so that what is never touched never leaves the disk. In the dtype of
    the files the parameters *are* the mapped pages, and cost no memory of their own until they are moved.

    Args:
        directory: of the model.
        config: from `read_config`; with a last layer it is shortened.
        dtype: of the parameters.
        last_layer: the last that is needed, counted from 0; None for the whole model with its head.

    Returns:
        The network, and whether it predicts next tokens.

    Raises:
        ModelError: the directory is damaged, or this version of transformers does not know the model.
    """
    causal = last_layer is None and predicts(config)
    _refuse_quantised(directory, config)
    try:
        if last_layer is not None:
            _shorten(config, last_layer + 1)
        with _quiet():
            loaded: object = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                # They are refused below, with their names.
                ignore_mismatched_sizes=True,
            )
        network, report = cast(tuple[PreTrainedModel, dict[str, Iterable[Any]]], loaded)
        _refuse_other_shapes(network, sorted(report["mismatched_keys"]))
        missing = sorted(report["missing_keys"])
        _refuse_random_weights(network, missing)
    # What a loader raises over a broken model is of any type: strict fields, tensors, plain KeyErrors.
    except Exception as error:
        raise loading_error(directory, error) from error
    module: nn.Module = network
    nn.Module.eval(module)
    module.requires_grad_(False)
    return network, causal and not missing


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


def _shorten(config: PretrainedConfig, layers: int) -> None:
    """Makes a configuration that of the model's first layers."""
    text = config.get_text_config()
    total = count_layers(config)
    if total is None or total <= layers:
        return
    kinds = getattr(text, "layer_types", None)
    if getattr(text, "num_kv_shared_layers", None):
        return  # which layers share is counted from the end: the model is loaded whole
    text.num_hidden_layers = layers
    # Some families make the list anew from the number.
    if isinstance(kinds, list) and not isinstance(getattr(type(text), "layer_types", None), property):
        text.layer_types = kinds[:layers]


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
