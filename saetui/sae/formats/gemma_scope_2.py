"""Gemma Scope 2: `params.safetensors` and `config.json`, the SAEs and transcoders of Gemma 3. Read only.

The same function as Gemma Scope's, under names in small letters; a transcoder may have a linear path, x·affine_skip_connection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from saetui.errors import FormatError
from saetui.sae.formats.directories import AGAIN, read_json, read_tensors
from saetui.sae.formats.loading import LoadedSAE, assemble_jumprelu
from saetui.sae.normalization import Normalization

GEMMA_SCOPE_2_CONFIG = "config.json"
GEMMA_SCOPE_2_WEIGHTS = "params.safetensors"

_NAMES = {
    "w_enc": "W_enc",
    "w_dec": "W_dec",
    "b_enc": "b_enc",
    "b_dec": "b_dec",
    "threshold": "threshold",
    "affine_skip_connection": "W_skip",
}


def load_gemma_scope_2(directory: Path) -> LoadedSAE:
    """The SAE or transcoder in a folder of Gemma Scope 2.

    Raises:
        FormatError: a file is damaged, or it is of a kind that saetui has not (crosscoders, cross-layer transcoders).
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
    unknown = sorted(tensors.keys() - _NAMES.keys())
    if unknown:
        raise FormatError(f"{path} holds {', '.join(unknown[:3])}, which saetui does not know.", AGAIN)
    if bool(config.get("affine_connection")) != ("affine_skip_connection" in tensors):
        raise FormatError(f"{path} and its config.json disagree on affine_connection.", AGAIN)
    weights = {_NAMES[name]: tensor.contiguous() for name, tensor in tensors.items()}
    sae = assemble_jumprelu(weights, path, transcodes=kind == "transcoder")
    return LoadedSAE(sae, Normalization(), _metadata(config), "gemma_scope_2")


def _metadata(config: dict[str, Any]) -> dict[str, Any]:
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
