"""A sparse encoder and decoder for autograd. Between them a loss is arithmetic on the N entries that can matter.

Everything outside the active entries (and, for jumprelu, the threshold's window) is zero, and so is its gradient: one
dense product finds the entries, and all others cost N instead of B·F. h is never whole in memory.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import in_dtype, product
from saetui.sae.kernels.sparse import (
    ByLatent,
    Codes,
    by_latent,
    codes_above,
    decode,
    sampled_product,
    sums_by_latent,
    transposed_gradient,
    weight_gradient,
)
from saetui.sae.kernels.weights import Weights

# Tokens encoded at a time: enough for the product's full speed, few enough for their h to stay near the cache.
_TOKENS = 512
# Tokens that are looked at to learn how dense a batch is.
_PROBE = 64
# Below this share of kept entries the sparse path wins: forward and backward break even at 12 to 17 % (standard, jumprelu)
# and 12 to 18 % (gated), by processor time at d 256 with 2048 latents and d 768 with 6144.
_DENSITY = 0.1


class Pattern:
    """Which entries of (B, F) are kept: the places of `Codes`, and sums and look-ups along either side."""

    def __init__(self, codes: Codes, latents: int) -> None:
        """The places of the codes among `latents` latents; their values are left aside."""
        self.codes = codes
        self.latents = latents
        self.tokens = codes.starts.shape[0] - 1

    @cached_property
    def entries(self) -> ByLatent:
        """The same places latent by latent, for the gradients of weights."""
        return by_latent(self.codes, self.latents)

    def at(self, of_latents: Tensor) -> Tensor:
        """A vector over latents, shape (F,), at each entry: shape (N,)."""
        return of_latents.index_select(0, self.codes.indices)

    def by_token(self, values: Tensor) -> Tensor:
        """Sums of the entries' values for each token: shape (B,)."""
        return values.new_zeros(self.tokens).index_add(0, self.codes.rows, values)

    def by_latent(self, values: Tensor) -> Tensor:
        """Sums of the entries' values for each latent: shape (F,)."""
        return values.new_zeros(self.latents).index_add(0, self.codes.indices, values)

    def fired(self, z: Tensor, threshold: float) -> Tensor:
        """On how many tokens each latent's z exceeds the threshold: int64, shape (F,)."""
        return sums_by_latent((z.detach() > threshold).to(torch.int64), self.codes.indices, self.latents)

    def active(self, z: Tensor) -> Tensor:
        """How many of the entries' z are above 0: int64, shape ()."""
        return (z.detach() > 0.0).sum()


def is_sparse(x: Tensor, weights: Weights, floor: Tensor | float) -> bool:
    """Whether so few pre-activations of this batch exceed the floor that the sparse path is the faster one.

    Some tokens, spread over the batch, are encoded to see. The answer depends on nothing but weights and batch, so that a
    resumed run takes the same path; on a GPU, where looking would wait for the device, it is always no.

    Args:
        x: shape (B, d_in).
        weights: of the SAE.
        floor: a number, or one for each latent, shape (F,).
    """
    if x.device.type != "cpu":
        return False
    with torch.no_grad():
        some = weights.centred(x[:: max(1, x.shape[0] // _PROBE)][:_PROBE])
        above = product(some, weights.W_enc, weights.options.dtype, weights.b_enc) > floor
        return int(above.sum()) < _DENSITY * above.numel()


def encode_above(x: Tensor, weights: Weights, floor: Tensor | float) -> tuple[Tensor, Pattern]:
    """The pre-activations that exceed the floor, differentiable in the encoder's weights, not in x: shape (N,).

    Args:
        x: shape (B, d_in).
        weights: of the SAE.
        floor: a number, or one for each latent, shape (F,); no gradient flows to it.
    """
    with torch.no_grad():
        centred = weights.centred(x)
        pattern = Pattern(_codes(centred, weights, floor), weights.W_enc.shape[1])
    h: Tensor = _Encode.apply(centred, pattern, weights.W_enc, weights.b_enc, weights.b_in)  # type: ignore[no-untyped-call]  # torch's apply
    return h, pattern


def reconstruction(z: Tensor, pattern: Pattern, W_dec: Tensor, b_dec: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """mean((Z·W_dec + b_dec − y)²), shape (), differentiable in all five; and y − x̂, detached, shape (B, d_out).

    Args:
        z: the entries' values, shape (N,).
        pattern: their places.
        W_dec: shape (F, d_out).
        b_dec: shape (d_out,).
        target: y, shape (B, d_out).
    """
    recon, residual = _Reconstruct.apply(z, pattern, W_dec, b_dec, target)  # type: ignore[no-untyped-call]  # torch's apply
    return recon, residual


def _codes(centred: Tensor, weights: Weights, floor: Tensor | float) -> Codes:
    dtype = weights.options.dtype
    W_enc = in_dtype(weights.W_enc, dtype)
    found = [codes_above(product(some, W_enc, dtype, weights.b_enc), floor) for some in torch.split(centred, _TOKENS)]
    starts = [found[0].starts[:1]]
    entries = 0
    for block in found:
        starts.append(block.starts[1:] + entries)
        entries += block.values.shape[0]
    rows = torch.cat([block.rows + place * _TOKENS for place, block in enumerate(found)])
    values, indices = (torch.cat(parts) for parts in zip(*(block[:2] for block in found), strict=True))
    return Codes(values, indices, rows, torch.cat(starts))


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, centred: Tensor, pattern: Pattern, W_enc: Tensor, b_enc: Tensor, b_in: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(centred, W_enc)
        ctx.pattern, ctx.centred = pattern, b_in is not None
        # A tensor of its own: ctx holds the pattern, and must not hold what holds ctx, or only the garbage collector frees both.
        return pattern.codes.values.detach()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grad_h,) = gradients
        centred, W_enc = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        grad_W_enc = transposed_gradient(grad_h, pattern.entries, centred)
        grad_b_enc = pattern.by_latent(grad_h)
        grad_b_in = -torch.mv(W_enc, grad_b_enc) if ctx.centred else None
        return None, None, grad_W_enc, grad_b_enc, grad_b_in


class _Reconstruct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, pattern: Pattern, W_dec: Tensor, b_dec: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        residual = decode(pattern.codes._replace(values=z), W_dec).add_(b_dec).neg_().add_(target)
        ctx.save_for_backward(z, W_dec, residual)
        ctx.pattern = pattern
        ctx.mark_non_differentiable(residual)
        return residual.square().mean(), residual

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        z, W_dec, residual = ctx.saved_tensors
        pattern: Pattern = ctx.pattern
        _, _, for_weights, for_bias, for_target = ctx.needs_input_grad
        grad_x_hat = residual * (gradients[0] * (-2.0 / residual.numel()))
        return (
            sampled_product(grad_x_hat, W_dec, pattern.codes),
            None,
            weight_gradient(z, pattern.entries, grad_x_hat) if for_weights else None,
            grad_x_hat.sum(0) if for_bias else None,
            -grad_x_hat if for_target else None,
        )
