"""Gemma Scope (arXiv 2408.05147): `params.npz` alone; what it is of is said by the folders that it lies in. Read only.

z = h·1[h > θ] with h = x·W_enc + b_enc, x̂ = z·W_dec + b_dec: no b_dec is subtracted, nothing is scaled.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from saetui.errors import FormatError
from saetui.sae.formats.directories import folders_of, read_arrays
from saetui.sae.formats.loading import LoadedSAE, assemble_jumprelu
from saetui.sae.normalization import Normalization

GEMMA_SCOPE_WEIGHTS = "params.npz"

_NAMES = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")
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

    The repository's name and `layer_N` in the path say the model and the site; a path without them says nothing of the kind,
    and what is in it is an SAE then.

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


def _metadata(folders: tuple[str, ...], size: str, tuned: str, kind: str) -> dict[str, Any]:
    found = {"model_name": f"google/gemma-2-{size}{'-it' if tuned == 'it' else ''}"}
    layer = next((match[1] for name in reversed(folders) if (match := _LAYER.fullmatch(name))), None)
    if layer is not None:
        found["hook_name"] = f"blocks.{layer}.{_HOOKS[kind]}"
        if kind == "transcoders":
            found["hook_name_out"] = f"blocks.{layer}.hook_mlp_out"
    return found
