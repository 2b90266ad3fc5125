"""Going on from an SAE that is there already: its weights, in the units of the new training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.formats.loading import LoadedSAE
from saetui.sae.formats.models import changes_to_model
from saetui.sae.normalization import Normalization

_SPREAD = 1e-3
"""Norms of decoder rows that differ by less are one norm, to float32 and a save in bfloat16."""

_BY_SIZE = ("topk", "batch_topk", "matryoshka", "transcoder", "skip_transcoder")
"""Architectures that choose latents by the size of h, among each other: rescaling one latent would change the choice."""

_KIN: Mapping[str, frozenset[str]] = {
    "batch_topk": frozenset({"batch_topk", "matryoshka", "jumprelu", "topk"}),
    "matryoshka": frozenset({"batch_topk", "matryoshka", "jumprelu", "topk"}),
    "jumprelu": frozenset({"jumprelu", "standard"}),
    "standard": frozenset({"standard", "skip"}),
    "skip": frozenset({"skip", "standard"}),
    "topk": frozenset({"topk"}),
    "gated": frozenset({"gated"}),
    "transcoder": frozenset({"transcoder"}),
    "skip_transcoder": frozenset({"skip_transcoder", "transcoder"}),
}
"""For each architecture those whose weights mean the same in it (batch_topk and matryoshka are exported as jumprelu)."""


def take_over(sae: SparseAutoencoder, normalization: Normalization, target: Normalization, loaded: LoadedSAE) -> None:
    """Gives a new SAE the weights of another: it then computes the same from raw activations, and is trained on from there.

    Args:
        sae: newly built, for the units of the training.
        normalization: the units of its input.
        target: the units of what it predicts; the same for all but transcoders.
        loaded: the SAE to go on from, in raw units.

    Raises:
        InvalidInput: it is of another kind or size, or cannot be said in the units or with the decoder norm asked for.
    """
    source = loaded.sae
    _require_same_kind(sae, normalization, loaded)
    weights = {name: tensor.detach().clone() for name, tensor in source.state_dict().items()}
    weights["W_enc"] = source.encoder_weight.detach().clone() / normalization.scale
    weights["W_dec"] = weights["W_dec"] * target.scale
    weights["b_dec"] = weights["b_dec"] * target.scale
    if "W_skip" in weights:
        weights["W_skip"] = weights["W_skip"] * (target.scale / normalization.scale)
    if sae.options.decoder_norm == "unit":
        _make_unit(sae, weights)
    if sae.description.get("tie_weights"):
        difference = (weights["W_enc"] - weights["W_dec"].t()).abs().max()
        if float(difference) > _SPREAD:
            raise InvalidInput("The SAE to start from has an encoder of its own.", "Set tie_weights to off.")
    _fill(sae, weights)


def _require_same_kind(sae: SparseAutoencoder, normalization: Normalization, loaded: LoadedSAE) -> None:
    source = loaded.sae
    if source.architecture not in _KIN.get(sae.architecture, frozenset()):
        raise InvalidInput(
            f"The SAE to start from is a {source.architecture}; {sae.architecture} cannot go on from it.",
            f"Set architecture to {source.architecture}, or start from another.",
        )
    theirs, ours = (source.d_in, source.d_out, source.latents), (sae.d_in, sae.d_out, sae.latents)
    if theirs != ours:
        raise InvalidInput(
            f"The SAE to start from has d_in, d_out and latents {theirs}; this training has {ours}.",
            f"Set latent_dim to {source.latents}, and take the model and site that it was trained on.",
        )
    changes, hook = changes_to_model(loaded.metadata), str(loaded.metadata.get("hook_name"))
    normalised = "saetui" not in loaded.metadata and hook.endswith("ln2.hook_normalized")
    if changes.centred or normalised or (changes.folded and hook.endswith("mlp.hook_in")):
        what = "centred activations" if changes.centred else "a norm's output before its weight and bias"
        raise InvalidInput(
            f"The SAE to start from reads {what}; a training reads the model's own.",
            "Start from an SAE that was trained on them, or from scratch.",
        )
    if (normalization.kind == "layer_norm") != (loaded.normalization.kind == "layer_norm"):
        raise InvalidInput(
            f"The SAE to start from reads {loaded.normalization.kind} activations, this training {normalization.kind}.",
            "Set normalize_activations to layer_norm for both or for neither.",
        )


def _make_unit(sae: SparseAutoencoder, weights: dict[str, Tensor]) -> None:
    """Moves the norms of the decoder's rows into the encoder, in place."""
    norms = weights["W_dec"].norm(dim=1).clamp_min(1e-12)
    uniform = float((norms.max() - norms.min()) / norms.mean()) <= _SPREAD
    if not uniform and sae.architecture in _BY_SIZE and sae.description.get("k") is not None:
        raise InvalidInput(
            "The SAE to start from has decoder rows of different norms, by which it would choose other latents "
            "if they were made unit ones.",
            "Set decoder_norm to free.",
        )
    weights["W_dec"] = weights["W_dec"] / norms[:, None]
    weights["W_enc"] = weights["W_enc"] * norms
    for name in ("b_enc", "b_gate", "b_mag", "threshold"):
        if name in weights:
            weights[name] = weights[name] * norms


def _fill(sae: SparseAutoencoder, weights: dict[str, Tensor]) -> None:
    wanted = sae.state_dict()
    filled: dict[str, Tensor] = {}
    for name, tensor in wanted.items():
        if name == "threshold" and tensor.dim() == 0:
            # One for all latents; where the SAE had none, the first batches find it.
            filled[name] = weights[name].mean() if name in weights else tensor
        elif name == "threshold_batches":
            filled[name] = torch.tensor(1 if "threshold" in weights else 0, dtype=tensor.dtype)
        else:
            # A jumprelu that was a plain ReLU so far, a skip transcoder without its linear path: as at its start.
            filled[name] = weights.get(name, tensor)
    sae.load_state_dict(filled)
