"""Losses that give dead latents a gradient: ghost gradients, and the pre-activation loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, in_dtype, product, row_blocks

# exp(h) of a latent that has fired again since the dead ones were last counted must not overflow float32.
_LARGEST_PRE_ACTIVATION = 30.0
_TINY = 1e-8


def ghost_loss(h: Tensor, rows: Tensor, residual: Tensor) -> Tensor:
    """The ghost term (Anthropic, Circuits Updates of January 2024), shape ().

    The dead latents, with exp(h) in place of relu(h), give g = exp(h)·W_dec. For each token g is scaled (by a factor
    that carries no gradient) to half the norm of the residual e = x − x̂. The term is the mean over tokens of
    mean((g − e)²), scaled (again without gradient) to the token's own reconstruction error. All factors are of one
    token alone, so micro-batches add up to the batch. Only parameters of dead latents get a gradient.

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


def pre_activation_loss(
    x: Tensor,
    columns: Tensor,
    bias: Tensor,
    threshold: Tensor,
    *,
    centre: Tensor | None,
    norms: Tensor | None,
    dtype: torch.dtype | None,
) -> Tensor:
    """The mean over tokens of Σ relu(θ − h)·n over some latents (Anthropic, January 2025), shape (); differentiable in all but x.

    The gradients are computed with it, a block of rows at a time: what is kept is as large as the latents' weights, not (B, n).

    Args:
        x: shape (B, d_in).
        columns: of the encoder, shape (d_in, n).
        bias: of the encoder, shape (n,).
        threshold: θ, shape (n,).
        centre: what is subtracted from x, shape (d_in,), or None.
        norms: of the decoder's rows, shape (n,), or None for 1 everywhere.
        dtype: of the products, or None for that of the tensors.
    """
    arguments = (x, columns, bias, threshold, centre, norms, dtype)
    loss: Tensor = _PreActivationLoss.apply(*arguments)  # type: ignore[no-untyped-call]  # torch's apply
    return loss


class _PreActivationLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        columns: Tensor,
        bias: Tensor,
        threshold: Tensor,
        centre: Tensor | None,
        norms: Tensor | None,
        dtype: torch.dtype | None,
    ) -> Tensor:
        tokens = x.shape[0]
        weights = torch.full_like(bias, 1 / tokens) if norms is None else norms / tokens
        forth = in_dtype(columns, dtype)
        below = torch.zeros_like(bias)
        missing = torch.zeros_like(bias)
        grad_columns = torch.zeros_like(columns)
        for rows in row_blocks(x, columns.shape[1]):
            centred = x[rows] if centre is None else x[rows] - centre
            short = product(centred, forth, dtype, bias - threshold).neg_().clamp_(min=0.0)
            missing += short.sum(0)
            is_short = short.gt_(0.0)
            below += is_short.sum(0)
            add_product(grad_columns, centred.t(), is_short, dtype)
        raised = below * weights
        ctx.save_for_backward(columns, grad_columns.mul_(-weights), raised, missing / tokens)
        ctx.centred, ctx.weighed = centre is not None, norms is not None
        return missing.dot(weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grad,) = gradients
        columns, grad_columns, raised, missing = ctx.saved_tensors
        grad_centre = grad * torch.mv(columns, raised) if ctx.centred else None
        grad_norms = grad * missing if ctx.weighed else None
        return None, grad * grad_columns, -grad * raised, grad * raised, grad_centre, grad_norms, None
