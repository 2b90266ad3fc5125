"""Reads an SAE from a directory in SAELens's layout, ours or another's. safetensors and JSON only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from saetui.errors import FormatError
from saetui.sae.base import Option, SparseAutoencoder
from saetui.sae.export import CONFIG_FILE, WEIGHTS_FILE
from saetui.sae.normalization import Normalization
from saetui.sae.registry import build

_LARGEST_CONFIG = 1 << 20
_UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class LoadedSAE:
    """An SAE and the units it works in.

    Attributes:
        sae: takes and gives activations that `normalization` has normalised.
        normalization: `none` for all but layer_norm: a scale is already folded in.
        metadata: the configuration's metadata, as it stands there.
    """

    sae: SparseAutoencoder
    normalization: Normalization
    metadata: dict[str, Any]

    def encode(self, raw: Tensor) -> Tensor:
        """z (B, F) for raw activations (B, d_in)."""
        return self.sae.encode(self.normalization.normalise(raw))

    def reconstruct(self, raw: Tensor) -> Tensor:
        """x̂ (B, d_out) in raw units for raw activations (B, d_in)."""
        return self.normalization.restore(self.sae(self.normalization.normalise(raw)), raw)


def load_saelens(directory: Path) -> LoadedSAE:
    """The SAE in a directory in SAELens's layout (standard or topk).

    Raises:
        FormatError: the directory or a file is missing, damaged, or of a kind that is not read here.
    """
    config = _read_config(directory / CONFIG_FILE)
    architecture = config.get("architecture")
    if architecture not in ("standard", "topk"):
        raise FormatError(
            f"{directory} holds an SAE of architecture {architecture!r}.", "standard and topk can be read."
        )
    d_in, latents = _size(config, "d_in", directory), _size(config, "d_sae", directory)
    weights = _read_weights(
        directory / WEIGHTS_FILE,
        {"W_enc": (d_in, latents), "W_dec": (latents, d_in), "b_enc": (latents,), "b_dec": (d_in,)},
    )
    _unfold_conventions(config, weights)
    norms = weights["W_dec"].norm(dim=1)
    unit = bool(((norms - 1.0).abs() <= _UNIT_TOLERANCE).all())
    options: dict[str, Option] = {"decoder_norm": "unit" if unit else "free"}
    if architecture == "topk":
        # SAELens takes 100 for a k that is not there, without a word. Not here.
        options["k"] = _size(config, "k", directory, at_most=latents)
    sae = build(architecture, d_in, d_in, latents, torch.Generator(), **options)
    sae.load_state_dict(weights)
    metadata = config.get("metadata")
    return LoadedSAE(sae, _normalization(config, directory), metadata if isinstance(metadata, dict) else {})


def _read_config(path: Path) -> dict[str, Any]:
    content = _read(path, _LARGEST_CONFIG)
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as wrong:
        raise FormatError(f"{path} is not JSON: {wrong}.", "Export or download the SAE again.") from wrong
    if not isinstance(config, dict):
        raise FormatError(f"{path} is not a JSON object.", "Export or download the SAE again.")
    return config


def _read_weights(path: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    try:
        tensors = load(_read(path, None))
    except (SafetensorError, ValueError, KeyError) as wrong:
        raise FormatError(f"{path} is damaged: {wrong}.", "Export or download the SAE again.") from wrong
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name not in tensors:
            raise FormatError(f"{path} has no {name}.", "It is not a standard or topk SAE in SAELens's layout.")
        if tuple(tensors[name].shape) != shape:
            raise FormatError(
                f"{name} in {path} has shape {tuple(tensors[name].shape)}; cfg.json says {shape}.",
                "The two files do not belong together: export or download the SAE again.",
            )
        weights[name] = tensors[name].to(torch.float32)
        if not bool(torch.isfinite(weights[name]).all()):
            raise FormatError(f"{name} in {path} holds values that are not finite.", "Take another checkpoint.")
    return weights


def _unfold_conventions(config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Brings the two conventions that saetui does not have into its own, in place."""
    if not config.get("apply_b_dec_to_input", True):
        weights["b_enc"] = weights["b_enc"] + weights["b_dec"] @ weights["W_enc"]
    if config.get("architecture") == "topk" and config.get("rescale_acts_by_decoder_norm", False):
        norms = weights["W_dec"].norm(dim=1).clamp_min(1e-12)
        weights["W_enc"] = weights["W_enc"] * norms
        weights["b_enc"] = weights["b_enc"] * norms
        weights["W_dec"] = weights["W_dec"] / norms[:, None]


def _normalization(config: dict[str, Any], directory: Path) -> Normalization:
    name = config.get("normalize_activations", "none")
    if name == "none":
        return Normalization("none")
    if name == "layer_norm":
        return Normalization("layer_norm")
    raise FormatError(
        f"{directory} normalises activations by {name!r}, which is not read here.",
        "Fold it in with SAELens (fold_activation_norm_scaling_factor) and save again.",
    )


def _size(config: dict[str, Any], name: str, directory: Path, at_most: int | None = None) -> int:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (at_most and value > at_most):
        raise FormatError(
            f"{name} in {directory / CONFIG_FILE} is {value!r}.",
            "It must be a whole number that fits the SAE: export or download it again.",
        )
    return value


def _read(path: Path, limit: int | None) -> bytes:
    try:
        if limit is not None and path.stat().st_size > limit:
            raise FormatError(f"{path} is larger than {limit} bytes.", "It is not an SAE's configuration.")
        return path.read_bytes()
    except OSError as wrong:
        raise FormatError(
            f"{path} cannot be read: {wrong.strerror}.",
            f"An SAE in SAELens's layout is a directory with {CONFIG_FILE} and {WEIGHTS_FILE}.",
        ) from wrong
