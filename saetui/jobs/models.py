"""The language models that can be chosen here, read from their files without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import msgspec

from saetui.bundled import TINY
from saetui.errors import ModelError
from saetui.jobs.hub_cache import find_snapshot, list_references
from saetui.jobs.paths import why_no_path
from saetui.regular import read_regular

BUNDLED_MODEL = "bundled:tiny"

CONFIG_LIMIT = 4 << 20
"""Bytes of a model's config.json; the largest hold a list of some thousand labels."""

INDEX_LIMIT = 64 << 20
"""Bytes of the list of which file holds which tensor: that of a model with 60 layers of 256 experts has 9 million."""

_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_CONTEXT = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
_FROM_PADDING = {"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "data2vec-text"}
"""Families that count positions from behind the one of their padding token."""
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a form needs to know of a model.

    Attributes:
        reference: how a spec names it.
        family: transformers' model type, e.g. `gpt2`.
        hidden_size: the width of its residual stream.
        context_limit: tokens that it can read at once; None where it does not say.
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
        """Where features are richest by the field's experience: the default."""
        return self.num_layers // 2

    @property
    def short_name(self) -> str:
        """The last part of the reference, for names and lists."""
        return self.reference.rstrip("/").rpartition("/")[2].removeprefix("bundled:")


def find_model(reference: str, revision: str | None = None) -> ModelInfo:
    """Read what a model is.

    Raises:
        ModelError: it is not there, or is not a model that saetui can load; with the way out.
    """
    directory = _locate(reference, revision)
    config = _read_config(reference, directory)
    layers, width = _first(config, _LAYERS), _first(config, _WIDTH)
    if layers is None or width is None:
        raise ModelError(
            f"{reference} is not a language model that saetui knows: its config.json names no layers or no hidden size.",
            "Give the directory of a transformers model with decoder or encoder layers.",
        )
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        others = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern))
        found = f" It has {', '.join(others[:3])}, which can run code when loaded." if others else ""
        raise ModelError(
            f"{reference} has no weights in safetensors.{found}",
            "Save it again with save_pretrained, which writes safetensors.",
        )
    _refuse_missing_shards(reference, directory)
    if not any((directory / name).is_file() for name in _TOKENIZERS):
        raise ModelError(
            f"{reference} has no tokenizer ({', '.join(_TOKENIZERS[:3])}, …).",
            "Copy the tokenizer's files into the model's directory.",
        )
    return ModelInfo(
        reference=reference,
        directory=str(directory),
        family=str(config.get("model_type", "unknown")),
        num_layers=layers,
        hidden_size=width,
        context_limit=_context_limit(config),
        size_bytes=sum(path.stat().st_size for path in weights),
    )


def _context_limit(config: Mapping[str, Any]) -> int | None:
    length = _first(config, _CONTEXT)
    if length is not None and config.get("model_type") in _FROM_PADDING:
        padding = config.get("pad_token_id", 1)
        length -= padding + 1 if isinstance(padding, int) else 0
    return length


def list_models() -> list[ModelInfo]:
    """The bundled model, then those in the local Hub cache that can be loaded."""
    found = [find_model(BUNDLED_MODEL)]
    for reference in list_references("models"):
        try:
            found.append(find_model(reference))
        except ModelError:
            continue  # the cache also holds what is no language model, or only a part of one
    return found


def _locate(reference: str, revision: str | None) -> Path:
    if reference == BUNDLED_MODEL:
        return TINY
    if reference.startswith("bundled:"):
        raise ModelError(f"{reference} is not bundled.", f"The bundled model is {BUNDLED_MODEL}.")
    reason = why_no_path(reference)
    if reason is not None:
        raise ModelError(reason, f"Check the path, or use {BUNDLED_MODEL}.")
    path = Path(reference).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{reference} is a file, not the directory of a model.", "Give the directory that holds it.")
    if path.is_absolute() or reference.startswith((".", "~")) or reference.count("/") > 1:
        raise ModelError(f"There is no model directory {reference}.", f"Check the path, or use {BUNDLED_MODEL}.")
    snapshot = find_snapshot("models", reference, revision)
    if snapshot is None:
        wanted = reference if revision is None else f"{reference} (revision {revision})"
        raise ModelError(
            f"There is no model {wanted}: neither a directory nor in the local Hub cache.",
            f"Give a directory, download it with `saetui models --download {reference}`, or use {BUNDLED_MODEL}.",
        )
    return snapshot


def _read_config(reference: str, directory: Path) -> Mapping[str, Any]:
    path = directory / "config.json"
    if not path.is_file():
        empty = not directory.is_dir() or not any(directory.iterdir())
        state = "is empty" if empty else "has no config.json, so it is not a model"
        raise ModelError(f"The directory {reference} {state}.", "Give the directory that save_pretrained wrote.")
    try:
        config = msgspec.json.decode(read_regular(path, CONFIG_LIMIT), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}.", "Copy the model again, or give another directory."
        ) from error
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _refuse_missing_shards(reference: str, directory: Path) -> None:
    """A download that broke off leaves an index that names more files than there are."""
    index = directory / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        places = msgspec.json.decode(read_regular(index, INDEX_LIMIT), type=_ShardIndex).weight_map
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{index} cannot be read: {error}.", "Copy or download the model again.") from error
    missing = sorted({name for name in places.values() if not (directory / name).is_file()})
    if missing:
        more = f" and {len(missing) - 1} more of its files" if len(missing) > 1 else ""
        raise ModelError(f"{reference} lacks {missing[0]}{more}.", "Copy or download the model again.")


class _ShardIndex(msgspec.Struct):
    """Which file holds which tensor."""

    weight_map: dict[str, str]


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
