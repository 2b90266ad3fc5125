"""Ghost gradients: dead ReLU latents get a gradient as if they were to predict the residual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saetui.sae.dead import DeadSet
from saetui.sae.dense import pre_activations

if TYPE_CHECKING:
    from saetui.sae.base import SparseAutoencoder

# exp(h) of a latent that has come back to life since the last look must not overflow float32.
_LARGEST_PRE_ACTIVATION = 30.0
_TINY = 1e-8


def ghost_loss(sae: SparseAutoencoder, x: Tensor, residual: Tensor, dead: DeadSet) -> Tensor:
    """The ghost term (Anthropic, Circuits Updates of January 2024), shape ().

    The dead latents, with exp(h) in place of relu(h), give g = exp(h)·W_dec. For each token g is scaled (by a factor
    that carries no gradient) to half the norm of the residual e = x − x̂, and the term is the mean over tokens of
    mean((g − e)²), scaled (again without gradient) to the token's own reconstruction error. All factors are a token's
    own, so micro-batches add up to the batch. Only parameters of dead latents receive a gradient.

    Args:
        sae: whose dead latents they are.
        x: shape (B, d_in).
        residual: e, detached, shape (B, d_out).
        dead: which latents.
    """
    b_in = sae.b_dec.detach() if sae.centres_input else None
    h = pre_activations(x, sae.encoder_weight[:, dead.indices], sae.b_enc[dead.indices], b_in, sae.compute_dtype)
    ghost = h.clamp(max=_LARGEST_PRE_ACTIVATION).exp() @ sae.W_dec[dead.indices]
    with torch.no_grad():
        halving = residual.norm(dim=1, keepdim=True) / (2.0 * ghost.norm(dim=1, keepdim=True) + _TINY)
    error = (ghost * halving - residual).square().mean(1)
    with torch.no_grad():
        scale = residual.square().mean(1) / (error + _TINY)
    return torch.mean(error * scale)
