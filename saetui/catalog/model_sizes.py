"""How many parameters each part of a model has, read from the heads of its safetensors files without loading them."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import msgspec

from saetui.errors import ModelError
from saetui.formats.regular import open_regular
from saetui.sources.model_files import weight_files

HEAD_LIMIT = 100 * 2**20
"""The most that safetensors itself accepts as a file's head."""

_HEADS = ("lm_head", "embed_out", "cls.", "score", "classifier")
_BESIDE = ("vision", "visual", "image", "audio", "speech", "projector", "connector")
"""In the names of what turns images and sound into tokens; its layers are not the text's."""
_EMBEDDINGS = ("embed", "wte", "wpe", "word_embeddings", "position")


class ModelSize(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters, by where they are.

    Attributes:
        embedding: of the token and position embeddings, which the first layer needs, and of what stands beside
            the text (a tower for images), which is loaded with them.
        layers: of each layer, the first one first.
        head: of what comes after the layers: the last norm, and a head that is not tied to the embedding.
        vocabulary: rows of the token embedding.
    """

    embedding: int
    layers: tuple[int, ...]
    head: int
    vocabulary: int

    def up_to(self, layer: int) -> int:
        """Parameters that are loaded to read at a layer, counted from 0."""
        return self.embedding + sum(self.layers[: layer + 1])

    @property
    def total(self) -> int:
        return self.embedding + sum(self.layers) + self.head


def read_model_size(directory: Path) -> ModelSize:
    """Count the parameters of a model.

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
        embedding=embedding,
        layers=tuple(layers[index] for index in sorted(layers)),
        head=head,
        vocabulary=vocabulary,
    )


def _layer_of(name: str) -> int | None:
    """The first number in a tensor's name: `model.layers.3.mlp.experts.5.weight` is of layer 3."""
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
