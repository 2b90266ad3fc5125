"""Llama Scope (arXiv 2410.20526): `hyperparams.json` and `checkpoints/final.safetensors`. Read only.

It was trained on s·x with s = √d / (the mean norm of the data set's activations); its target has a scale of the same kind.
In raw units, as Language-Model-SAEs computes at inference (`standardize_parameters_of_dataset_norm`, `encode`):

    h = x·W_enc + b_enc/s_in,  D = W_dec·s_in/s_out,  z_i = h_i·1[h_i·‖D_i‖ > θ],  x̂ = z·D + b_dec/s_out

without ‖D_i‖ where `sparsity_include_decoder_norm` is false. With z' = s_in·z that is a jumprelu whose thresholds are
s_in·θ/‖D_i‖.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae.formats.files import AGAIN, folders_of, read_json, read_tensors
from saetui.sae.formats.loading import LoadedSAE, assemble_jumprelu
from saetui.sae.normalization import Normalization

LLAMA_SCOPE_CONFIG = "hyperparams.json"
LLAMA_SCOPE_WEIGHTS = "checkpoints/final.safetensors"

_NORMS = "dataset_average_activation_norm"
_TENSORS = {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}


def load_llama_scope(directory: Path) -> LoadedSAE:
    """The SAE or transcoder in a folder of Llama Scope, as `Llama3_1-8B-Base-L15R-8x`.

    Raises:
        FormatError: a file is damaged, or the SAE computes something that saetui does not.
    """
    config = read_json(directory / LLAMA_SCOPE_CONFIG)
    path = directory / LLAMA_SCOPE_WEIGHTS
    _refuse_other_kinds(config, directory)
    tensors = read_tensors(path)
    if tensors.keys() - _TENSORS or _TENSORS - {"decoder.bias"} - tensors.keys():
        raise FormatError(f"{path} holds {', '.join(sorted(tensors)[:6])}, not an encoder and a decoder.", AGAIN)
    source, target = config.get("hook_point_in"), config.get("hook_point_out") or config.get("hook_point_in")
    s_in, s_out = _scales(config, directory)
    sae = assemble_jumprelu(_raw(config, tensors, s_in, s_out), path, transcodes=source != target)
    metadata = {"hook_name": source} | ({} if source == target else {"hook_name_out": target})
    if any("Llama3_1-8B-Base" in name for name in folders_of(directory)):
        metadata["model_name"] = "meta-llama/Llama-3.1-8B"
    return LoadedSAE(sae, Normalization(), metadata, "llama_scope")


def _raw(config: dict[str, Any], tensors: dict[str, Tensor], s_in: float, s_out: float) -> dict[str, Tensor]:
    """The weights of a jumprelu that takes and gives raw activations, and subtracts no b_dec."""
    decoder = tensors["decoder.weight"].t() / s_out
    b_dec = tensors.get("decoder.bias", torch.zeros(decoder.shape[1])) / s_out
    encoder, b_enc = tensors["encoder.weight"].t() * s_in, tensors["encoder.bias"]
    if config.get("apply_decoder_bias_to_pre_encoder"):
        # In its own units b_dec is s times, and W_enc 1/s times, as large as for raw activations.
        b_enc = b_enc - b_dec @ encoder
    # A relu is a jumprelu with θ = 0.
    theta = _number(config.get("jump_relu_threshold", 0.0)) if config.get("act_fn") == "jumprelu" else 0.0
    threshold = torch.full_like(b_enc, s_in * theta)
    if config.get("sparsity_include_decoder_norm", True):
        threshold = threshold / (decoder * s_in).norm(dim=1).clamp_min(1e-12)
    return {
        "W_enc": encoder.contiguous(),
        "W_dec": decoder.contiguous(),
        "b_enc": b_enc,
        "b_dec": b_dec,
        "threshold": threshold,
    }


def _scales(config: dict[str, Any], directory: Path) -> tuple[float, float]:
    """s of the input, and of the target."""
    norms = config.get(_NORMS)
    if config.get("norm_activation", "dataset-wise") == "inference" or norms is None:
        return 1.0, 1.0
    width = config.get("d_model")
    found = [_number(norms.get(end)) for end in ("in", "out")] if isinstance(norms, dict) else []
    if not isinstance(width, int) or len(found) != 2 or not all(0 < norm < math.inf for norm in found):
        raise FormatError(f"{_NORMS} in {directory / LLAMA_SCOPE_CONFIG} is {json.dumps(norms)[:80]}.", AGAIN)
    return math.sqrt(width) / found[0], math.sqrt(width) / found[1]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _refuse_other_kinds(config: dict[str, Any], directory: Path) -> None:
    """Refuse SAEs that compute something else; the message names the field that says so."""
    allowed: dict[str, tuple[object, ...]] = {
        "act_fn": ("jumprelu", "relu"),
        "norm_activation": ("dataset-wise", "inference", None),
        "use_glu_encoder": (False, None),
        "hook_point_in": (config.get("hook_point_in"),) if isinstance(config.get("hook_point_in"), str) else (),
    }
    for name, values in allowed.items():
        if config.get(name) not in values:
            raise FormatError(
                f"{name} in {directory / LLAMA_SCOPE_CONFIG} is {json.dumps(config.get(name))}, which is not read here.",
                "SAEs as Llama Scope published them can be read.",
            )
    transcodes = config.get("hook_point_out") not in (None, config.get("hook_point_in"))
    if transcodes and config.get("apply_decoder_bias_to_pre_encoder"):
        raise FormatError(f"{directory} is a transcoder that subtracts b_dec from its input.", AGAIN)
    if config.get("norm_activation") == "dataset-wise" and config.get(_NORMS) is None:
        raise FormatError(
            f"{directory} was trained on scaled activations, and {LLAMA_SCOPE_CONFIG} lacks {_NORMS}.", AGAIN
        )
    if not 0 <= _number(config.get("jump_relu_threshold", 0.0)) < math.inf:
        raise FormatError(f"jump_relu_threshold in {directory / LLAMA_SCOPE_CONFIG} is not a number from 0.", AGAIN)
