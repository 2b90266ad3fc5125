"""Ghost gradients: dead ReLU latents get a gradient as if they were to predict the residual."""

from __future__ import annotations

import torch
from torch import Tensor

# exp(h) of a latent that has come back to life since the last look must not overflow float32.
_LARGEST_PRE_ACTIVATION = 30.0
_TINY = 1e-8


def ghost_loss(h: Tensor, rows: Tensor, residual: Tensor) -> Tensor:
    """The ghost term (Anthropic, Circuits Updates of January 2024), shape ().

    The dead latents, with exp(h) in place of relu(h), give g = exp(h)·W_dec. For each token g is scaled (by a factor
    that carries no gradient) to half the norm of the residual e = x − x̂, and the term is the mean over tokens of
    mean((g − e)²), scaled (again without gradient) to the token's own reconstruction error. All factors are a token's
    own, so micro-batches add up to the batch. Only parameters of dead latents receive a gradient.

    Args:
        h: pre-activations of the n dead latents, shape (B, n).
        rows: their decoder rows, shape (n, d_out).
        residual: e, detached, shape (B, d_out).
    """
    ghost = h.clamp(max=_LARGEST_PRE_ACTIVATION).exp() @ rows
    with torch.no_grad():
        halving = residual.norm(dim=1, keepdim=True) / (2.0 * ghost.norm(dim=1, keepdim=True) + _TINY)
    error = (ghost * halving - residual).square().mean(1)
    with torch.no_grad():
        scale = residual.square().mean(1) / (error + _TINY)
    return torch.mean(error * scale)
