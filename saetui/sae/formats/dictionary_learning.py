"""dictionary_learning 0.1.0: `config.json` and `ae.pt`. Written only: its weights are a pickle, and saetui reads none."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import SparseAutoencoder
from saetui.sae.formats.files import write_export
from saetui.sae.formats.loading import LoadedSAE, as_trained
from saetui.sae.formats.rendering import folded

WEIGHTS_PICKLE = "ae.pt"
CONFIG = "config.json"


def export_dictionary_learning(directory: Path, loaded: LoadedSAE) -> None:
    """Write a directory that dictionary_learning's `load_dictionary` loads, in raw units.

    Raises:
        InvalidInput: dictionary_learning cannot compute the same.
        FormatError: something that is not an export is in the way.
        OSError: the disk refuses; nothing is left behind.
    """
    sae = as_trained(loaded)
    writer = _WRITERS.get(sae.architecture)
    if writer is None:
        raise InvalidInput(
            f"dictionary_learning has nothing for {sae.architecture}.",
            f"It has {', '.join(_WRITERS)}; use saelens for this one.",
        )
    if loaded.normalization.kind != "none":
        raise InvalidInput(
            f"dictionary_learning does not normalise its input by {loaded.normalization.kind}.", "Use saelens."
        )
    name, trainer, weights = writer(sae, folded(sae, 1.0, 1.0))
    config = {
        "trainer": {
            "dict_class": name,
            "trainer_class": trainer,
            "activation_dim": sae.d_in,
            "dict_size": sae.latents,
            "layer": loaded.metadata.get("hook_layer"),
            "lm_name": loaded.metadata.get("model_name"),
            "submodule_name": loaded.metadata.get("hf_hook_name"),
            "k": sae.description.get("k"),
        },
        "buffer": {"ctx_len": loaded.metadata.get("context_size"), "d_submodule": sae.d_in},
    }
    pickle = io.BytesIO()
    torch.save({key: tensor.clone() for key, tensor in weights.items()}, pickle)
    files = {CONFIG: json.dumps(config, indent=1, allow_nan=False).encode(), WEIGHTS_PICKLE: pickle.getvalue()}
    write_export(directory, files)


Written = tuple[str, str, dict[str, Tensor]]


def _standard(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    # Its loader scales the decoder's rows to unit norm, with a message. Here that is done already, and the latents fit it.
    norms = raw["W_dec"].norm(dim=1).clamp_min(1e-12)
    scaled = {"W_enc": raw["W_enc"] * norms, "b_enc": raw["b_enc"] * norms, "W_dec": raw["W_dec"] / norms[:, None]}
    return "AutoEncoder", "StandardTrainer", {"bias": raw["b_dec"], **_linear(scaled), "encoder.bias": scaled["b_enc"]}


def _gated(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    biases = {"decoder_bias": raw["b_dec"], "r_mag": raw["r_mag"], "gate_bias": raw["b_gate"], "mag_bias": raw["b_mag"]}
    return "GatedAutoEncoder", "GatedSAETrainer", {**biases, **_linear(raw)}


def _topk(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    # A threshold of -1 means none.
    weights = {"b_dec": raw["b_dec"], **_k_and(torch.tensor(-1.0), sae), **_linear(raw), "encoder.bias": raw["b_enc"]}
    return "AutoEncoderTopK", "TopKTrainer", weights


def _batch_topk(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    weights = {"b_dec": raw["b_dec"], **_k_and(raw["threshold"], sae), **_linear(raw), "encoder.bias": raw["b_enc"]}
    return "BatchTopKSAE", "BatchTopKTrainer", weights


def _matryoshka(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    widths = sae.description["widths"]
    assert isinstance(widths, list), "checked where the SAE is built"
    sizes = torch.tensor([upper - lower for lower, upper in zip((0, *widths), widths)], dtype=torch.int64)
    weights = {name: raw[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    weights |= {**_k_and(raw["threshold"], sae), "group_sizes": sizes}
    return "MatryoshkaBatchTopKSAE", "MatryoshkaBatchTopKTrainer", weights


def _jumprelu(sae: SparseAutoencoder, raw: dict[str, Tensor]) -> Written:
    # Its encoder subtracts no b_dec: the bias does that.
    weights = {**raw, "b_enc": raw["b_enc"] - raw["b_dec"] @ raw["W_enc"]}
    return "JumpReluAutoEncoder", "JumpReluTrainer", weights


def _linear(raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"encoder.weight": raw["W_enc"].t().contiguous(), "decoder.weight": raw["W_dec"].t().contiguous()}


def _k_and(threshold: Tensor, sae: SparseAutoencoder) -> dict[str, Tensor]:
    k = sae.description["k"]
    assert isinstance(k, int), "checked where the SAE is built"
    return {"k": torch.tensor(k, dtype=torch.int32), "threshold": threshold}


_WRITERS: Mapping[str, Callable[[SparseAutoencoder, dict[str, Tensor]], Written]] = {
    "standard": _standard,
    "topk": _topk,
    "batch_topk": _batch_topk,
    "matryoshka": _matryoshka,
    "jumprelu": _jumprelu,
    "gated": _gated,
}
