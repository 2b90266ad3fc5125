"""Brings the conventions of SAELens's versions into saetui's own, without changing the function that an SAE computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae.formats.files import AGAIN, read_json

SCALER_FILE = "activation_scaler.json"
"""In SAELens's checkpoints: the scale that the configuration only mentions."""

_TRAINING_NAMES = {"batchtopk": "jumprelu", "matryoshka_batchtopk": "jumprelu"}
_SINCE_6 = "sae_lens_version"
_OLD_NAMES = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}
_FACTS = (
    "model_name", "model_class_name", "model_from_pretrained_kwargs", "hook_name", "hook_name_out", "hook_layer",
    "hook_head_index", "context_size", "dataset_path", "prepend_bos", "exclude_special_tokens", "seqpos_slice",
    "neuronpedia_id",
)  # fmt: skip
"""Fields of an old configuration that newer ones have in their metadata."""


def modern_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as SAELens 6 and later write it; fields with older names are renamed."""
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and _SINCE_6 in metadata:
        return dict(config)
    renamed = {_OLD_NAMES.get(name, name): value for name, value in config.items()}
    renamed.setdefault("architecture", "standard")
    kwargs = renamed.get("activation_fn_kwargs")
    if renamed.get("activation_fn") == "topk" and isinstance(kwargs, dict):
        renamed |= {"architecture": "topk", "k": kwargs.get("k")}
    if renamed.get("normalize_activations") is None:
        renamed["normalize_activations"] = "none"
    facts = {name: value for name, value in renamed.items() if name in _FACTS}
    return renamed | {"metadata": {**facts, **metadata} if isinstance(metadata, dict) else facts}


def apply_conventions(config: dict[str, Any], weights: dict[str, Tensor], directory: Path) -> None:
    """Change configuration and weights in place, so that the SAE subtracts b_dec, rescales no latents and has no scale.

    Raises:
        FormatError: the SAE is scaled by a number that is missing, or computes something that saetui does not.
    """
    _refuse_what_is_not_computed(config, directory)
    architecture = str(config.get("architecture"))
    config["architecture"] = _TRAINING_NAMES.get(architecture, architecture)
    factor = weights.pop("scaling_factor", None)
    if factor is not None and not torch.equal(factor, torch.ones_like(factor)):
        raise FormatError(f"{directory} has finetuning factors (scaling_factor), which saetui does not have.", AGAIN)
    if "topk_threshold" in weights:
        latents = weights["W_dec"].shape[0]
        weights["threshold"] = weights.pop("topk_threshold").expand(latents).contiguous()
    if "threshold" in weights:
        # z = relu(h) above its threshold: below 0 a threshold does nothing.
        weights["threshold"] = weights["threshold"].clamp_min(0.0)
    if config.get("rescale_acts_by_decoder_norm", False):
        if "b_enc" not in weights:
            raise FormatError(f"{directory} rescales the latents of a {architecture}, which saetui does not.", AGAIN)
        norms = weights["W_dec"].norm(dim=1).clamp_min(1e-12)
        weights["W_enc"] = weights["W_enc"] * norms
        weights["b_enc"] = weights["b_enc"] * norms
        weights["W_dec"] = weights["W_dec"] / norms[:, None]
    # Last: a threshold on rescaled latents is in the units of the rows as they were trained.
    _fold_scale(config, weights, directory)


def _refuse_what_is_not_computed(config: Mapping[str, Any], directory: Path) -> None:
    """Refuse fields by which the SAE reads or computes something that saetui does not."""
    metadata = config.get("metadata")
    places = [config, metadata] if isinstance(metadata, dict) else [config]
    heads = next((head for facts in places if (head := facts.get("hook_head_index")) is not None), None)
    activation = config.get("activation_fn")
    if activation not in (None, "relu", "topk"):
        raise FormatError(f"{directory} has the activation function {activation!r}.", "relu and topk can be read.")
    reshaped = config.get("reshape_activations") or "none"
    if reshaped != "none" or heads is not None:
        what = repr(reshaped) if heads is None else f"hook_head_index: {heads}"
        raise FormatError(
            f"{directory} reads attention heads ({what}), which saetui does not.",
            "SAEs of resid_pre, resid_post, mlp_in, mlp_out and attn_out can be read.",
        )


def centre_input(weights: dict[str, Tensor]) -> None:
    """Change an encoder that subtracts no b_dec into one that does, in place."""
    shift = weights["b_dec"] @ weights["W_enc"]
    for name in ("b_enc", "b_gate"):
        if name in weights:
            weights[name] = weights[name] + shift
    if "b_mag" in weights:
        weights["b_mag"] = weights["b_mag"] + shift * weights["r_mag"].exp()


def _fold_scale(config: dict[str, Any], weights: dict[str, Tensor], directory: Path) -> None:
    """Fold in the scale of SAELens's `expected_average_only_in`. It is in a file of its own, or was never saved."""
    name = config.get("normalize_activations", "none")
    if name in (True, "expected_average_only_in"):
        scaler = directory / SCALER_FILE
        scale = read_json(scaler).get("scaling_factor") if scaler.exists() else None
        if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale < float("inf"):
            raise FormatError(
                f"{directory} was trained on scaled activations, and {SCALER_FILE} with the scale is "
                + ("not sound." if scaler.exists() else "not there."),
                "Fold it in with SAELens (fold_activation_norm_scaling_factor) and save again.",
            )
        weights["W_enc"] = weights["W_enc"] * scale
        weights["W_dec"] = weights["W_dec"] / scale
        weights["b_dec"] = weights["b_dec"] / scale
    elif name not in (False, "none", "layer_norm"):
        raise FormatError(
            f"{directory} normalises activations by {name!r}, which is not read here.",
            "none, layer_norm and expected_average_only_in can be read.",
        )
    if name != "layer_norm":
        config["normalize_activations"] = "none"
