"""The files of the model that a user names. The catalog and the loading of models both find them here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from saetui import bundled
from saetui.errors import ModelError
from saetui.formats.paths import why_no_path, why_unreachable
from saetui.formats.regular import LFS_POINTER, open_regular, read_regular
from saetui.sources.hub_cache import find_snapshot, is_hub_id

BUNDLED_MODEL = "bundled:tiny"

CONFIG_LIMIT = 4 << 20
"""Bytes of a model's config.json. The largest ones have a list of some thousand labels."""

INDEX_LIMIT = 64 << 20
"""Bytes of the index that maps tensors to files. The one of a model with 60 layers of 256 experts has 9 million."""

_CONFIG = "config.json"
_ADAPTER = "adapter_config.json"
_ONE_FILE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx")
_SAVE = "Save the model there with save_pretrained, or choose another directory."
_ORIGINAL = "Give the directory of the original model, with its weights in safetensors (float32, float16 or bfloat16)."


@dataclass(frozen=True)
class ModelFiles:
    """A directory that has everything that a model needs.

    Attributes:
        directory: the model's directory.
        config: its configuration, as written.
        weights: its safetensors files, each once.
    """

    directory: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]


def find_model_files(reference: str, revision: str | None = None) -> ModelFiles:
    """Find a model and check that it has a configuration, weights and a tokenizer. Nothing is downloaded.

    Args:
        reference: `bundled:tiny`, a directory, or the Hub id of a model in the local cache.
        revision: the revision of a Hub model. None is the cached `main`.

    Raises:
        ModelError: there is no such model here, or a part of it is missing or damaged.
    """
    directory = _locate(reference, revision)
    names = _names(directory)
    _refuse_adapter(directory, names)
    if _CONFIG not in names:
        raise _without_config(directory, names)
    for name in sorted(names):
        # Other files beside the model are never read.
        if name == _CONFIG or name.endswith(".safetensors") or name in (_INDEX, *_TOKENIZERS):
            _refuse_stand_in(directory / name)
    config = _read_config(directory / _CONFIG)
    weights = weight_files(directory)
    if not names.intersection(_TOKENIZERS):
        raise ModelError(
            f"{directory} has no tokenizer ({', '.join(_TOKENIZERS[:3])}, …).",
            "Save the model's tokenizer into the same directory with save_pretrained.",
        )
    return ModelFiles(directory, config, weights)


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The safetensors files of a model that transformers reads, and no second copy beside them.

    Mistral's repositories, for example, have all weights once more in a consolidated.safetensors.

    Raises:
        ModelError: there are none, or some of them are missing.
    """
    if (directory / _ONE_FILE).is_file():
        return (directory / _ONE_FILE,)
    if (directory / _INDEX).is_file():
        names = _read_index(directory / _INDEX)
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more of its files" if len(missing) > 1 else ""
            raise ModelError(f"{directory} lacks {missing[0]}{more}.", "Copy or download the model again.")
        return tuple(directory / name for name in names)
    found = sorted(path.name for path in directory.glob("*.safetensors"))
    if found:
        raise ModelError(
            f"{directory} has {', '.join(found[:3])}, and neither {_ONE_FILE} nor {_INDEX}, which name a model's weights.",
            "Copy or download the model again, or save it again with save_pretrained.",
        )
    others = sorted(path.name for path in directory.iterdir() if path.name.endswith(_OTHER_WEIGHTS))
    if others:
        raise ModelError(
            f"{directory} has no weights in safetensors. It has {', '.join(others[:3])}, which can run code when loaded.",
            "Load it with transformers where you trust it, and save_pretrained it again: that writes safetensors.",
        )
    if gguf := sorted(path.name for path in directory.glob("*.gguf")):
        raise _gguf(str(directory), gguf)
    raise ModelError(f"{directory} has no weights (*.safetensors).", _SAVE)


def _locate(reference: str, revision: str | None) -> Path:
    if reference == BUNDLED_MODEL:
        if not bundled.TINY.is_dir():
            raise ModelError("This installation of saetui lacks its bundled model.", "Install saetui again.")
        return bundled.TINY
    if reference.startswith("bundled:"):
        raise ModelError(f"There is no bundled model {reference!r}.", f"The bundled model is {BUNDLED_MODEL}.")
    reason = why_no_path(reference)
    if reason is not None:
        raise ModelError(reason, f"Check the path, or use {BUNDLED_MODEL}.")
    path = Path(reference).expanduser()
    closed = why_unreachable(path)
    if closed is not None:
        raise ModelError(closed, f"Check its permissions, or use {BUNDLED_MODEL}.")
    if reference and path.is_dir():
        return path
    if path.is_file():
        if reference.lower().endswith(".gguf"):
            raise _gguf(reference, [])
        raise ModelError(f"{reference} is a file, not the directory of a model.", "Give the directory that holds it.")
    if path.is_absolute() or reference.startswith((".", "~")) or reference.count("/") > 1:
        raise ModelError(f"There is no model directory {reference}.", f"Check the path, or choose {BUNDLED_MODEL}.")
    if not is_hub_id(reference):
        raise ModelError(
            f"{reference!r} is neither a directory nor the name of a model.",
            f"Give a directory, a Hub id such as openai-community/gpt2, or {BUNDLED_MODEL}.",
        )
    snapshot = find_snapshot("models", reference, revision)
    if snapshot is None:
        wanted = reference if revision is None else f"{reference} (revision {revision})"
        raise ModelError(
            f"There is no model {wanted}: neither a directory nor in the local Hub cache.",
            f"Give a directory, download it with `saetui models --download {reference}`, or use {BUNDLED_MODEL}.",
        )
    return snapshot


def _names(directory: Path) -> set[str]:
    """The names in a model's directory.

    Raises:
        ModelError: the directory cannot be read, or is empty.
    """
    try:
        names = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise ModelError(
            f"The model directory {directory} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    if not names:
        raise ModelError(f"The model directory {directory} is empty.", _SAVE)
    return names


def _refuse_adapter(directory: Path, names: set[str]) -> None:
    """Refuse an adapter, which changes a model: alone it cannot be read, and beside a model it would be ignored in silence."""
    if _ADAPTER not in names:
        return
    _refuse_stand_in(directory / _ADAPTER)
    try:
        adapter = msgspec.json.decode(read_regular(directory / _ADAPTER, CONFIG_LIMIT), type=_Adapter)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{directory / _ADAPTER} cannot be read: {error}.", "Copy the directory again.") from error
    kind = {"LORA": "LoRA"}.get(adapter.peft_type or "", adapter.peft_type or "PEFT")
    base = adapter.base_model_name_or_path or "a model that it does not name"
    merge = "merge the adapter into it with peft (merge_and_unload) and save_pretrained the result"
    if _CONFIG in names and any(name.endswith(".safetensors") and not name.startswith("adapter") for name in names):
        raise ModelError(
            f"{directory} holds a model and beside it an adapter ({_ADAPTER}: {kind}, of {base}), "
            "which would not be part of what is read.",
            f"To read the model with it, {merge} in another directory; to read the model without it, "
            "take the adapter's files out of the directory.",
        )
    raise ModelError(
        f"{directory} is an adapter ({kind}) of {base}, not a model.",
        f"Load {adapter.base_model_name_or_path or 'its base model'}, {merge}, and give that directory.",
    )


def _without_config(directory: Path, names: set[str]) -> ModelError:
    if gguf := sorted(name for name in names if name.lower().endswith(".gguf")):
        return _gguf(str(directory), gguf)
    if any((directory / name).is_symlink() and not (directory / name).exists() for name in names):
        return _dangling(directory / next(name for name in sorted(names) if not (directory / name).exists()))
    return ModelError(
        f"{directory} has no config.json, so it is not a model.",
        "Give the directory that save_pretrained wrote, or download the model again.",
    )


def _refuse_stand_in(path: Path) -> None:
    """Refuse a broken link or a pointer of Git LFS in place of a file."""
    if path.is_symlink() and not path.exists():
        raise _dangling(path)
    try:
        with open_regular(path) as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}.", "Check what it is, and its permissions."
        ) from error
    if start == LFS_POINTER:
        raise ModelError(
            f"{path} is a Git LFS pointer, not the file itself.",
            f"Fetch the files with `git lfs pull` in {path.parent}, or download the model again.",
        )


def _dangling(path: Path) -> ModelError:
    return ModelError(
        f"{path} is a link that leads nowhere: a download was interrupted, or only a part of the cache was moved.",
        "Download the model again (`saetui models --download ID` resumes), or copy it with the files that its links lead to.",
    )


def _gguf(place: str, names: list[str]) -> ModelError:
    what = f"has its weights only as {', '.join(names[:3])}: GGUF" if names else "is a GGUF file"
    return ModelError(f"{place} {what}, the format of llama.cpp, which saetui does not read.", _ORIGINAL)


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = msgspec.json.decode(read_regular(path, CONFIG_LIMIT), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", "Copy or download the model again.") from error
    if not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{path} names no model_type, so it is not the configuration of a transformers model.",
            "Give the directory of a model that was saved with save_pretrained.",
        )
    return config


def _read_index(path: Path) -> list[str]:
    try:
        places = msgspec.json.decode(read_regular(path, INDEX_LIMIT), type=_ShardIndex).weight_map
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", "Copy or download the model again.") from error
    return sorted(set(places.values()))


class _ShardIndex(msgspec.Struct):
    weight_map: dict[str, str]
    """The file of each tensor."""


class _Adapter(msgspec.Struct):
    peft_type: str | None = None
    base_model_name_or_path: str | None = None
