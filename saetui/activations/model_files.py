"""From what a user writes to a directory that holds a model: bundled, local, or in the Hub's cache."""

from __future__ import annotations

import json
import re
from pathlib import Path

from transformers.utils.hub import cached_file

from saetui import bundled
from saetui.errors import ModelError

__all__ = ["model_directory"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")


def model_directory(reference: str, revision: str | None = None) -> Path:
    """Finds a model's directory and makes sure that it holds a configuration, weights and a tokenizer.

    Args:
        reference: `bundled:tiny`, a directory, or a Hub id that lies in the local cache.
        revision: of a Hub model; None is the cached `main`.

    Raises:
        ModelError: there is no such model here, or a part of it is missing or damaged.
    """
    if reference.startswith("bundled:"):
        directory = _bundled(reference)
    elif (reference and Path(reference).expanduser().exists()) or reference.startswith(("/", "./", "../", "~")):
        directory = Path(reference).expanduser()
    else:
        directory = _from_hub_cache(reference, revision)
    _check(directory)
    return directory


def _bundled(reference: str) -> Path:
    if reference != "bundled:tiny":
        raise ModelError(f"There is no bundled model {reference!r}.", "The bundled model is bundled:tiny.")
    if not bundled.TINY.is_dir():
        raise ModelError("This installation of saetui lacks its bundled model.", "Install saetui again.")
    return bundled.TINY


def _from_hub_cache(reference: str, revision: str | None) -> Path:
    if _HUB_ID.fullmatch(reference) is None:
        raise ModelError(
            f"{reference!r} is neither a directory nor the name of a model.",
            "Give a directory, a Hub id such as openai-community/gpt2, or bundled:tiny.",
        )
    try:
        found = cached_file(reference, "config.json", revision=revision, local_files_only=True)
    except OSError:
        found = None
    if found is None:
        wanted = reference if revision is None else f"{reference} at revision {revision}"
        raise ModelError(
            f"{wanted} is neither a directory here nor a model in the local Hugging Face cache.",
            f"Download it where there is a network (saetui models --download {reference}), or give the directory of a model.",
        )
    return Path(found).parent


def _check(directory: Path) -> None:
    """Raises a ModelError that says what a directory lacks to be a model."""
    if not directory.exists():
        raise ModelError(f"The model directory {directory} does not exist.", "Check the path, or choose bundled:tiny.")
    if not directory.is_dir():
        raise ModelError(f"{directory} is a file, not a model directory.", "Give the directory that holds it.")
    try:
        names = {path.name for path in directory.iterdir()}
    except OSError as error:
        raise ModelError(
            f"The model directory {directory} cannot be read: {error.strerror}.", "Check its permissions."
        ) from error
    save = "Save the model there with save_pretrained, or choose another directory."
    if not names:
        raise ModelError(f"The model directory {directory} is empty.", save)
    if "config.json" not in names:
        raise ModelError(f"{directory} has no config.json, so it is not a transformers model.", save)
    _check_config(directory / "config.json")
    if not any(name.endswith(".safetensors") for name in names):
        other = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".gguf")))
        if other:
            raise ModelError(
                f"{directory} has its weights only as {', '.join(other)}, which saetui does not load.",
                "Convert them to safetensors: load the model and save_pretrained it again.",
            )
        raise ModelError(f"{directory} has no weights (*.safetensors).", save)
    if not any(name in names for name in _TOKENIZER_FILES):
        raise ModelError(
            f"{directory} has no tokenizer (tokenizer.json).",
            "Save the model's tokenizer into the same directory with save_pretrained.",
        )


def _check_config(path: Path) -> None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged: {error}.", "Copy the model's directory again from where it came."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelError(
            f"{path} names no model_type, so it is not the configuration of a transformers model.",
            "Give the directory of a model that was saved with save_pretrained.",
        )
