"""Language models: their layers and sites, their tokenizers, and the tokens that are not trained on."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from saetui.activations.contributions import NotAdded, Proof, prove_contributions
from saetui.activations.model_loading import count_layers, load_network, loading_error, read_config
from saetui.activations.sites import HookPoint, Location, Site
from saetui.activations.structure import find_text_stack, no_such_part, text_config
from saetui.activations.vocabulary import separator_id, special_ids
from saetui.errors import ModelError
from saetui.sources.model_files import find_model_files

_FINGERPRINT = b"saetui model 2"
"""Changes with the content of fingerprints and with the tensors of sites, so that an older cache is not taken for a new one."""

_NOT_CONTENT = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache"}
)
"""Fields of a configuration that no activation depends on."""

_LONGEST = ("max_position_embeddings", "max_seq_len")
"""The names that families have for the longest context."""


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A transformer that is ready to be read: in evaluation mode, without gradients, on its device.

    Attributes:
        reference: the text that it was opened by.
        revision: the revision of a Hub model, or None.
        directory: where its files are.
        network: the transformer itself, with its language modelling head where it is whole and has one.
        tokenizer: its fast tokenizer.
        layers_name: the path of its list of layers in `network`, such as `transformer.h`.
        num_layers: the number of layers of the whole model, loaded or not.
        is_whole: whether it was opened with all its layers and its head.
        can_predict: whether `network` predicts next tokens, so that it has a cross-entropy.
        lock: held while the network runs, because hooks of one thread are called for the passes of another one too.
    """

    reference: str
    revision: str | None
    directory: Path
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    layers_name: str
    num_layers: int
    is_whole: bool
    can_predict: bool
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return int(text_config(self.network).hidden_size)

    @property
    def vocab_size(self) -> int:
        return int(text_config(self.network).vocab_size)

    @property
    def max_context(self) -> int | None:
        """The longest context in tokens. None where the model has no limit."""
        config = text_config(self.network)
        length = next((found for name in _LONGEST if isinstance(found := getattr(config, name, None), int)), 0)
        for module in self.network.modules():
            # RoBERTa's positions begin after the one of its padding token.
            if isinstance(module, nn.Embedding) and module.num_embeddings == length and module.padding_idx is not None:
                length -= module.padding_idx + 1
        return length if length > 0 else None

    @property
    def separator_id(self) -> int | None:
        """The token between documents: the tokenizer's end of text, or BERT's separator."""
        return separator_id(self.tokenizer)

    @cached_property
    def special_ids(self) -> tuple[int, ...]:
        """The tokens that carry no text and are not trained on: beginning, end, separators, padding, a chat's turns."""
        return special_ids(self.tokenizer)

    @cached_property
    def layers(self) -> nn.ModuleList:
        """The loaded layers, in order."""
        return cast(nn.ModuleList, self.network.get_submodule(self.layers_name))

    def fingerprint(self, last_layer: int) -> str:
        """A hash of everything that the activations up to a layer depend on: configuration, embedding, layers.

        It is equal for equal models, wherever their files are and whether or not the later layers are loaded. All these weights
        are read, each once however often this is called, which takes seconds for a model of billions of parameters.
        """
        with self.lock:
            for layer in self.layers[len(self._digests) - 1 : last_layer + 1]:
                self._digests.append(_digest(self._digests[-1], layer.state_dict()))
            return self._digests[min(last_layer, len(self.layers) - 1) + 1].hex()

    @cached_property
    def _digests(self) -> list[bytes]:
        """The hash of everything outside the layers, then of that with layer 0, with layers 0 and 1, as far as was asked."""
        stack = find_text_stack(self.network, self.layers_name)
        prefix = next(name for name, module in stack.named_modules() if module is self.layers)
        settings = {key: value for key, value in text_config(self.network).to_dict().items() if key not in _NOT_CONTENT}
        outside = {name: value for name, value in stack.state_dict().items() if not name.startswith(f"{prefix}.")}
        return [_digest(_FINGERPRINT + json.dumps(settings, sort_keys=True, default=str).encode(), outside)]

    def locate(self, site: Site) -> Location:
        """Find the module whose input or output is a site's activation.

        The first call runs the model on a few tokens. It proves that tokens alone are enough for the model, and that `attn_out`
        and `mlp_out` are what a layer adds to the residual stream, and finds the factor.

        Raises:
            ModelError: the model has no such layer, the layer has no such part, the part's output is not what the layer adds, or
                the model does not run.
        """
        if not 0 <= site.layer < self.num_layers:
            raise _no_such_layer(self.reference, site.layer, self.num_layers)
        if site.layer >= len(self.layers):
            raise ModelError(
                f"{self.reference} was opened up to layer {len(self.layers) - 1}, so {site.name} cannot be read.",
                f"Open it with a last_layer of {site.layer} or more.",
            )
        inner, side, factor = self._find_in_layer(site)
        name = f"{self.layers_name}.{site.layer}" + (f".{inner}" if inner else "")
        return Location(site, name, side, self.d_model, factor)

    def _find_in_layer(self, site: Site) -> tuple[str, Literal["input", "output"], float]:
        """The path of a site's module in its layer, its side, and the factor."""
        layer, proof = self.layers[site.layer], self._proofs[site.layer]
        if site.hook_point in (HookPoint.RESID_PRE, HookPoint.RESID_POST):
            return "", "input" if site.hook_point is HookPoint.RESID_PRE else "output", 1.0
        proven = proof.get(site.hook_point)
        if proven is None:
            raise no_such_part(layer, site.hook_point)
        if isinstance(proven, NotAdded):
            raise ModelError(
                f"{site.name} of {self.reference} is not what the layer adds to the residual stream: {proven.reason}.",
                "Choose resid_pre or resid_post, which every model has, or mlp_in.",
            )
        return proven.path, "input" if site.hook_point is HookPoint.MLP_IN else "output", proven.factor

    def module_at(self, location: Location) -> nn.Module:
        """The module of a location, in `network`."""
        return self.network.get_submodule(location.module_name)

    @cached_property
    def _proofs(self) -> list[Proof]:
        """What attention and MLP of each loaded layer add to the residual stream."""
        with self.lock:
            return prove_contributions(self.network, self.layers, self.special_ids, self.reference)

    def require_reads(self, context_length: int, largest_token: int = 0) -> None:
        """Check that the model reads contexts of this length and tokens up to this id.

        Raises:
            ModelError: the context is too long, or the tokens were made with another tokenizer.
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

    def hook_points(self, layer: int) -> list[HookPoint]:
        """The hook points of a layer. In a hybrid model each kind of layer has its own.

        Raises:
            ModelError: the model has no such layer, or does not run.
        """
        found = [HookPoint.RESID_PRE, HookPoint.RESID_POST]
        self.locate(Site(layer, HookPoint.RESID_POST))
        for point in (HookPoint.MLP_IN, HookPoint.MLP_OUT, HookPoint.ATTN_OUT):
            try:
                self.locate(Site(layer, point))
            except ModelError:
                continue
            found.append(point)
        return found


def open_model(
    reference: str,
    revision: str | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    last_layer: int | None = None,
) -> LanguageModel:
    """Open a model from local files. Nothing is downloaded, and no code of the model is run.

    Args:
        reference: `bundled:tiny`, a directory, or the Hub id of a model in the local cache.
        revision: the revision of a Hub model. None is the cached `main`.
        device: a device, or `auto` for the GPU where there is one.
        dtype: `float32`, `bfloat16`, `float16`, or `auto` for bfloat16 on a GPU that has it and float32 elsewhere.
        last_layer: the last layer that will be read, counted from 0. Later layers and the head are neither loaded nor run
            (`WholeModel` loads them). None opens the whole model.

    Raises:
        ModelError: there is no such model here, it is damaged, it has no such layer, or its structure is not understood.
    """
    directory = find_model_files(reference, revision).directory
    place = _device(device)
    precision = _dtype(dtype, place)
    try:
        config = read_config(directory)
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    # transformers may raise any type of error over a broken model: strict fields, tensors, plain KeyErrors.
    except Exception as error:
        raise loading_error(directory, error) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelError(
            f"The model in {directory} has no fast tokenizer.",
            "Convert its tokenizer to a tokenizer.json (load it with transformers and save_pretrained it).",
        )
    total = count_layers(config)
    if last_layer is not None and total is not None and not 0 <= last_layer < total:
        raise _no_such_layer(reference, last_layer, total)
    loaded = load_network(directory, config, precision, last_layer)
    # As torch declares it: transformers' own declaration of `to` names fewer types.
    module: nn.Module = loaded.module
    module.to(place)
    facts = (loaded.layers_name, loaded.num_layers, last_layer is None, loaded.can_predict)
    return LanguageModel(reference, revision, directory, loaded.module, tokenizer, *facts)


def _digest(before: bytes, tensors: Mapping[str, Tensor]) -> bytes:
    """A hash of an earlier hash and of all tensors but a pooler's, on which no activation depends."""
    digest = hashlib.blake2b(before, digest_size=16)
    for name, tensor in sorted(tensors.items()):
        if "pooler." not in name:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def _no_such_layer(reference: str, layer: int, total: int) -> ModelError:
    return ModelError(f"{reference} has no layer {layer}: it has {total}.", f"Choose layers from 0 to {total - 1}.")


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
