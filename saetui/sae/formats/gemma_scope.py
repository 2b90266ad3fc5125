"""Gemma Scope (arXiv 2408.05147) and Gemma Scope 2: SAEs and transcoders of Gemma 2 and Gemma 3, jumprelu in raw units. Read only.

The first is one file, `params.npz`. The second is `params.safetensors` and `config.json`, with names in small letters; a
transcoder of it may have a linear path, x·affine_skip_connection.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from saetui.errors import FormatError
from saetui.sae.formats.files import AGAIN, folders_of, read_arrays, read_json, read_tensors
from saetui.sae.formats.loading import LoadedSAE, assemble_jumprelu
from saetui.sae.normalization import Normalization

GEMMA_SCOPE_WEIGHTS = "params.npz"
GEMMA_SCOPE_2_CONFIG = "config.json"
GEMMA_SCOPE_2_WEIGHTS = "params.safetensors"

_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
_NAMES_2 = {
    "w_enc": "W_enc", "w_dec": "W_dec", "b_enc": "b_enc", "b_dec": "b_dec", "threshold": "threshold",
    "affine_skip_connection": "W_skip",
}  # fmt: skip
_REPOSITORY = re.compile(r"gemma-scope-(2b|9b|27b)-(pt|it)-(res|mlp|att|transcoders)\b")
_LAYER = re.compile(r"layer_(\d{1,3})")
_HOOKS = {
    "res": "hook_resid_post",
    "mlp": "hook_mlp_out",
    "att": "attn.hook_z",
    # Trained on the norm's output before its weight (SAELens and circuit-tracer name this hook too).
    "transcoders": "ln2.hook_normalized",
}


def load_gemma_scope(directory: Path) -> LoadedSAE:
    """The SAE or transcoder in a folder of Gemma Scope, as `layer_20/width_16k/average_l0_71`.

    The model and the site come from the path: the repository's name, and `layer_N`. Without them the site is unknown, and the
    file is read as an SAE's.

    Raises:
        FormatError: the file is damaged, or holds an SAE of the embedding.
    """
    path = directory / GEMMA_SCOPE_WEIGHTS
    folders = folders_of(directory)
    if "embedding" in folders:
        raise FormatError(
            f"{directory} is an SAE of the embedding, on activations that are scaled by the width's root.",
            "SAEs of layers can be read.",
        )
    repository = next((match for name in reversed(folders) if (match := _REPOSITORY.search(name))), None)
    transcodes = repository is not None and repository[3] == "transcoders"
    sae = assemble_jumprelu(read_arrays(path, _NAMES), path, transcodes=transcodes)
    metadata = {} if repository is None else _metadata(folders, *repository.groups())
    return LoadedSAE(sae, Normalization(), metadata, "gemma_scope")


def load_gemma_scope_2(directory: Path) -> LoadedSAE:
    """The SAE or transcoder in a folder of Gemma Scope 2.

    Raises:
        FormatError: a file is damaged, or the SAE is of a kind that saetui has not (crosscoders, cross-layer transcoders).
    """
    path = directory / GEMMA_SCOPE_2_WEIGHTS
    config = read_json(directory / GEMMA_SCOPE_2_CONFIG)
    kind, architecture = config.get("type", "sae"), config.get("architecture")
    if kind not in ("sae", "transcoder") or architecture != "jump_relu":
        raise FormatError(
            f"{directory} is a {kind!r} of architecture {architecture!r}.",
            "SAEs and transcoders of architecture jump_relu can be read.",
        )
    tensors = read_tensors(path)
    unknown = sorted(tensors.keys() - _NAMES_2.keys())
    if unknown:
        raise FormatError(f"{path} holds {', '.join(unknown[:3])}, which saetui does not know.", AGAIN)
    if bool(config.get("affine_connection")) != ("affine_skip_connection" in tensors):
        raise FormatError(f"{path} and its config.json disagree on affine_connection.", AGAIN)
    weights = {_NAMES_2[name]: tensor.contiguous() for name, tensor in tensors.items()}
    sae = assemble_jumprelu(weights, path, transcodes=kind == "transcoder")
    return LoadedSAE(sae, Normalization(), _metadata_2(config), "gemma_scope_2")


def _metadata(folders: tuple[str, ...], size: str, tuned: str, kind: str) -> dict[str, Any]:
    found = {"model_name": f"google/gemma-2-{size}{'-it' if tuned == 'it' else ''}"}
    layer = next((match[1] for name in reversed(folders) if (match := _LAYER.fullmatch(name))), None)
    if layer is not None:
        found["hook_name"] = f"blocks.{layer}.{_HOOKS[kind]}"
        if kind == "transcoders":
            found["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
    return found


def _metadata_2(config: dict[str, Any]) -> dict[str, Any]:
    names = {"hf_hook_name": "hf_hook_point_in", "hf_hook_name_out": "hf_hook_point_out", "model_name": "model_name"}
    found = {ours: config[theirs] for ours, theirs in names.items() if isinstance(config.get(theirs), str)}
    if "model_name" in found:
        found["model_name"] = _hub_id(found["model_name"])
    return found


def _hub_id(name: str) -> str:
    """The model's id on the Hub: the configurations write `gemma-v3-270m-pt` for `google/gemma-3-270m`, as SAELens has found."""
    if "gemma" not in name:
        return name
    name = name.replace("gemma-v3", "gemma-3")
    if "270m" in name:
        name = name.removesuffix("-pt")
    return name if "/" in name else f"google/{name}"
