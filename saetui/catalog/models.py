"""The language models on this machine: what each is and how many parameters it has, read from its files without torch."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import msgspec

from saetui.errors import ModelError
from saetui.formats.regular import open_regular
from saetui.sources.hub_cache import list_references
from saetui.sources.model_files import BUNDLED_MODEL, find_model_files, weight_files

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
_FROM_PADDING = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "data2vec-text"}
"""Families whose positions begin after that of their padding token."""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a form needs to know about a model.

    Attributes:
        reference: its name in a spec.
        family: transformers' model type, e.g. `gpt2`.
        hidden_size: the width of its residual stream.
        context_limit: tokens that it can read at once; None where its configuration does not say.
        size_bytes: of its weights on disk.
    """

    reference: str
    directory: str
    family: str
    num_layers: int
    hidden_size: int
    context_limit: Union[int, None]
    size_bytes: int

    @property
    def middle_layer(self) -> int:
        """The default layer: by experience, features are richest in the middle."""
        return self.num_layers // 2

    @property
    def short_name(self) -> str:
        """The last part of the reference, for names and lists."""
        return short_name(self.reference)


def short_name(reference: str) -> str:
    """The last part of a model's reference: `gpt2` for `openai-community/gpt2`."""
    return reference.rstrip("/").rpartition("/")[2].removeprefix("bundled:")


def find_model(reference: str, revision: str | None = None) -> ModelInfo:
    """Read what a model is, from its configuration.

    Raises:
        ModelError: there is no such model, or saetui cannot load it.
    """
    files = find_model_files(reference, revision)
    inner = files.config.get("text_config")
    config = {**files.config, **inner} if isinstance(inner, dict) else files.config
    layers, width = _first(config, _LAYERS), _first(config, _WIDTH)
    if layers is None or width is None:
        raise ModelError(
            f"{reference} is not a language model that saetui knows: its config.json has no number of layers or no hidden size.",
            "Give the directory of a transformers model with decoder or encoder layers.",
        )
    return ModelInfo(
        reference=reference,
        directory=str(files.directory),
        family=str(config["model_type"]),
        num_layers=layers,
        hidden_size=width,
        context_limit=_context_limit(config),
        size_bytes=sum(path.stat().st_size for path in files.weights),
    )


def _context_limit(config: Mapping[str, Any]) -> int | None:
    length = _first(config, _CONTEXT)
    if length is not None and config.get("model_type") in _FROM_PADDING:
        padding = config.get("pad_token_id", 1)
        length -= padding + 1 if isinstance(padding, int) else 0
    return length


def list_models() -> list[ModelInfo]:
    """The bundled model, then the loadable models in the local Hub cache."""
    found = [find_model(BUNDLED_MODEL)]
    for reference in list_references("models"):
        try:
            found.append(find_model(reference))
        except ModelError:
            continue  # the cache also holds other kinds of models, and parts of models
    return found


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


HEAD_LIMIT = 100 * 2**20
"""The longest head of a file that safetensors itself accepts, in bytes."""

_HEADS = ("lm_head", "embed_out", "cls.", "score", "classifier")
_BESIDE = ("vision", "visual", "image", "audio", "speech", "projector", "connector")
"""In the names of parts that turn images and sound into tokens; their layers are not layers of the text."""
_EMBEDDINGS = ("embed", "wte", "wpe", "word_embeddings", "position")


class ModelSize(msgspec.Struct, frozen=True, kw_only=True):
    """The number of parameters in each part of a model.

    Attributes:
        embedding: token and position embeddings, which the first layer needs, and the parts for other inputs (a tower for
            images), which are loaded with them.
        layers: each layer, in order.
        head: the last norm, and a head that is not tied to the embedding.
        vocabulary: the rows of the token embedding.
    """

    embedding: int
    layers: tuple[int, ...]
    head: int
    vocabulary: int

    def up_to(self, layer: int) -> int:
        """Parameters that must be loaded to read at a layer, counted from 0."""
        return self.embedding + sum(self.layers[: layer + 1])

    @property
    def total(self) -> int:
        return self.embedding + sum(self.layers) + self.head


def read_model_size(directory: Path) -> ModelSize:
    """Count the parameters of a model from the heads of its safetensors files.

    Raises:
        ModelError: a file is missing or damaged.
    """
    layers: dict[int, int] = {}
    embedding = head = vocabulary = 0
    for path in weight_files(directory):
        for name, shape in _shapes(path).items():
            count = math.prod(shape)
            layer = _layer_of(name)
            if any(part in name for part in _BESIDE):
                embedding += count
            elif layer is not None:
                layers[layer] = layers.get(layer, 0) + count
            elif any(part in name for part in _HEADS):
                head += count
            elif any(part in name for part in _EMBEDDINGS):
                embedding += count
                vocabulary = max(vocabulary, shape[0])
            else:
                head += count
    return ModelSize(
        embedding=embedding, layers=tuple(layers[index] for index in sorted(layers)), head=head, vocabulary=vocabulary
    )


def _layer_of(name: str) -> int | None:
    """The first number in a tensor's name: `model.layers.3.mlp.experts.5.weight` belongs to layer 3."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _shapes(path: Path) -> dict[str, list[int]]:
    try:
        with open_regular(path) as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > HEAD_LIMIT:
                raise ValueError(f"its head would have {size} bytes")
            head = msgspec.json.decode(file.read(size), type=dict[str, dict[str, Any]])
        return {name: [int(side) for side in entry["shape"]] for name, entry in head.items() if name != "__metadata__"}
    except (OSError, struct.error, ValueError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise ModelError(f"{path} is damaged: {error}.", "Copy the model again.") from error
