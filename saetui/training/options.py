"""From the settings of a run to the SAE library's own words."""

from __future__ import annotations

from typing import Any

import torch

from saetui.spec.architectures import BY_K, RELU, TIED
from saetui.spec.settings import Settings


def sae_options(architecture: str, settings: Settings) -> dict[str, Any]:
    """The keyword arguments that `saetui.sae.build` takes for an architecture."""
    options: dict[str, Any] = {
        "decoder_norm": settings.decoder_norm,
        "firing_threshold": settings.dead_neuron_threshold,
    }
    if architecture in BY_K:
        options["k"] = settings.k
        if settings.k is not None:
            options |= {"aux_k": settings.values["aux_k"], "aux_k_alpha": settings.values["aux_k_alpha"]}
    if architecture in RELU:
        options["ghost_gradients"] = settings.values["ghost_grad_penalty"]
    if architecture in TIED:
        options["tie_weights"] = settings.tie_weights
    if architecture == "skip":
        options["skip_coeff"] = settings.skip_coeff
    if architecture == "matryoshka":
        options["widths"] = settings.matryoshka_widths
    if architecture == "jumprelu":
        options |= {
            "bandwidth": settings.values["bandwidth"],
            "initial_threshold": settings.values["initial_threshold"],
            "sparsity_mode": settings.values["sparsity_mode"],
            "pre_activation_alpha": settings.values["pre_activation_alpha"],
        }
        if settings.l0_target is not None:
            options["l0_target"] = settings.l0_target
    return options


def product_dtype(model_dtype: torch.dtype) -> torch.dtype | None:
    """The dtype of the SAE's dense products beside a model of this dtype; None for the weights' own float32.

    bfloat16 where the model runs in it. Not float16: small gradients vanish in it, and float32 products are safe.
    """
    return torch.bfloat16 if model_dtype == torch.bfloat16 else None
