"""A language model as saetui sees it: its layers and sites, its tokenizer, and what it must not be trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)
from transformers.utils import logging

from saetui.activations.model_files import model_directory
from saetui.activations.sites import HookPoint, Location, Site
from saetui.activations.structure import find_in_layer, find_layers, text_config
from saetui.errors import ModelError

__all__ = ["LanguageModel", "open_model"]


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A transformer that is ready to be read: in evaluation mode, without gradients, on its device.

    Attributes:
        reference: what it was opened by.
        revision: the revision of a Hub model, or None.
        network: the transformer itself, with its language modelling head where it has one.
        tokenizer: its fast tokenizer.
        layers_name: the path of its list of layers in `network`, as `transformer.h`.
        can_predict: whether it predicts next tokens, so that `cross_entropy` means something.
    """

    reference: str
    revision: str | None
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    layers_name: str
    can_predict: bool

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def num_layers(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return int(text_config(self.network).hidden_size)

    @property
    def vocab_size(self) -> int:
        return int(text_config(self.network).vocab_size)

    @property
    def max_context(self) -> int | None:
        """The longest context in tokens, or None where the model has no limit of its own."""
        length = getattr(text_config(self.network), "max_position_embeddings", None)
        return length if isinstance(length, int) and length > 0 else None

    @property
    def separator_id(self) -> int | None:
        """The token that separates documents: the tokenizer's end of text, or BERT's separator."""
        return _separator_id(self.tokenizer)

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """The tokens that carry no text: beginning, end, separators, padding. Not trained on."""
        return tuple(sorted(set(self.tokenizer.all_special_ids)))

    @cached_property
    def layers(self) -> nn.ModuleList:
        """The layers, in order."""
        return cast(nn.ModuleList, self.network.get_submodule(self.layers_name))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the configuration and all weights: equal for equal models, wherever they lie."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(type(self.network).__name__.encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def locate(self, site: Site) -> Location:
        """Finds the exact module whose input or output is a site's activation.

        Raises:
            ModelError: the model has no such layer, or the layer no such part.
        """
        if not 0 <= site.layer < self.num_layers:
            raise ModelError(
                f"{self.reference} has no layer {site.layer}: it has {self.num_layers}.",
                f"Choose layers from 0 to {self.num_layers - 1}.",
            )
        inner, side = find_in_layer(self.layers[site.layer], site.hook_point)
        name = f"{self.layers_name}.{site.layer}" + (f".{inner}" if inner else "")
        return Location(site, name, side, self.d_model)

    def check_reads(self, context_length: int, largest_token: int = 0) -> None:
        """Makes sure that contexts of this length, of tokens up to this id, can be read.

        Raises:
            ModelError: the context is too long, or the tokens are of another tokenizer.
        """
        longest = self.max_context
        if longest is not None and context_length > longest:
            raise ModelError(
                f"{self.reference} reads at most {longest} tokens, but the context length is {context_length}.",
                f"Choose a context length of at most {longest}.",
            )
        if largest_token >= self.vocab_size:
            raise ModelError(
                f"The text has the token {largest_token}, but {self.reference} knows {self.vocab_size} tokens.",
                "The tokenizer in the model's directory belongs to another model.",
            )

    def hook_points(self) -> list[HookPoint]:
        """The hook points that the model's layers have."""
        return [point for point in HookPoint if self._has(point)]

    def _has(self, point: HookPoint) -> bool:
        try:
            find_in_layer(self.layers[0], point)
        except ModelError:
            return False
        return True


def open_model(
    reference: str,
    revision: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> LanguageModel:
    """Opens a model from local files. Nothing is downloaded, and no code that came with a model is run.

    Args:
        reference: `bundled:tiny`, a directory, or a Hub id that lies in the local cache.
        revision: of a Hub model; None is the cached `main`.
        device: a device, or `auto`: the GPU where there is one.
        dtype: `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 on a GPU that has it, else float32.

    Raises:
        ModelError: there is no such model here, it is damaged, or its structure is not understood.
    """
    directory = model_directory(reference, revision)
    place = _device(device)
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        network, can_predict = _load(directory, config, _dtype(dtype, place))
    # What a loader raises over a broken model is of any type: strict fields, tensors, plain KeyErrors.
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(
            f"The model in {directory} cannot be loaded: {reason}",
            "Check that the directory was copied whole, and that this version of transformers knows the model.",
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(
            f"The model in {directory} has no fast tokenizer.",
            "Convert its tokenizer to a tokenizer.json (load it with transformers and save_pretrained it).",
        )
    layers_name, _ = find_layers(network)
    module: nn.Module = network
    nn.Module.eval(module)
    module.requires_grad_(False).to(place)
    return LanguageModel(reference, revision, network, tokenizer, layers_name, can_predict)


def _load(directory: Path, config: PretrainedConfig, dtype: torch.dtype) -> tuple[PreTrainedModel, bool]:
    """Loads the weights; returns the network and whether it predicts next tokens."""
    config.use_cache = False
    config.get_text_config().use_cache = False
    kind = config.model_type
    # Families in both lists (BERT) are encoders unless their configuration says otherwise.
    causal = kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and (
        kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or bool(getattr(config, "is_decoder", False))
    )
    with _without_progress_bars():
        loaded: object = (AutoModelForCausalLM if causal else AutoModel).from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    network, report = cast(tuple[PreTrainedModel, dict[str, Iterable[str]]], loaded)
    missing = sorted(report["missing_keys"])
    body = [key for key in missing if _is_body(network, key)]
    if body:
        raise ValueError(
            f"its weights lack {len(body)} of the tensors that its config.json asks for, the first being {body[0]}"
        )
    return network, causal and not missing


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """A bar for each file of weights would fill a log and break a screen."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it untyped


def _is_body(network: PreTrainedModel, key: str) -> bool:
    """Whether a parameter belongs to what produces activations, not to a head or a pooler on top of it."""
    prefix = network.base_model_prefix
    inside = key.startswith(f"{prefix}.") if hasattr(network, prefix) else True
    return inside and "pooler." not in key


def _separator_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    for found in (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id):
        if isinstance(found, int):
            return found
    return None


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"{device!r} is not a device.", "Choose auto, cpu or cuda.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("There is no CUDA device that torch can use here.", "Choose cpu or auto as the device.")
    return place


def _dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in known:
        raise ModelError(f"{dtype!r} is not a dtype.", f"Choose auto, {', '.join(known)}.")
    return known[dtype]
