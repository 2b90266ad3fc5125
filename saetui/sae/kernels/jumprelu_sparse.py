"""jumprelu's sparse path: the entries above their threshold's window, whose straight-through gradients are all there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.relu_losses import encoder_of
from saetui.sae.kernels.sparse_layers import encode_above, reconstruction
from saetui.sae.kernels.straight_through import jump

if TYPE_CHECKING:
    from saetui.sae.jumprelu import JumpReLUSAE

TANH_SCALE = 4.0
# Half a bandwidth, and a hair more, so that rounding loses no entry at the window's edge.
_HALF = 0.5001


class JumpOutcome(NamedTuple):
    """Both paths' result.

    Attributes:
        recon: mean over tokens and coordinates of (x̂ − y)², shape ().
        penalty: of the SAE's sparsity mode, without coefficient, shape ().
        residual: y − x̂, detached, shape (B, d_out).
        l1: Σ z·n over tokens and latents, detached, shape ().
        fired: tokens on which each latent fired, int64, shape (F,).
        active: entries of z that are not 0, shape ().
    """

    recon: Tensor
    penalty: Tensor
    residual: Tensor
    l1: Tensor
    fired: Tensor
    active: Tensor


def window_floor(threshold: Tensor, bandwidth: float) -> Tensor:
    """Where the windows of θ (F,) begin: below it an entry has neither value nor gradient. Shape (F,), detached."""
    return threshold.detach() - _HALF * bandwidth


def sparse_outcome(sae: JumpReLUSAE, x: Tensor, target: Tensor) -> JumpOutcome:
    """Reconstruction error and penalty of one batch: x (B, d_in), target (B, d_out)."""
    encoder = encoder_of(sae, sae.b_enc)
    h, pattern = encode_above(x, encoder, window_floor(sae.threshold, sae.bandwidth))
    z, step = jump(h, pattern.at(sae.threshold), sae.bandwidth)
    recon, residual = reconstruction(z, pattern, sae.W_dec, sae.b_dec, target)
    norms = sae.decoder_norms()
    if sae.sparsity_mode == "tanh":
        strength = z if norms is None else z * pattern.at(norms)
        penalty = torch.tanh(TANH_SCALE * strength).sum() / x.shape[0]
    elif sae.sparsity_mode == "quadratic":
        penalty = (2.0 / sae.l0_target) * (pattern.by_token(step) - sae.l0_target).square().mean()
    else:
        penalty = step.sum() / x.shape[0]
    with torch.no_grad():
        l1 = z.sum() if norms is None else pattern.by_latent(z).dot(norms)
    return JumpOutcome(recon, penalty, residual, l1, pattern.fired(z, sae.firing_threshold), pattern.active(z))
