"""gated's sparse path: the entries whose gate is open, with both reconstructions over the same pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.relu_losses import encoder_of
from saetui.sae.kernels.sparse_layers import encode_above, reconstruction

if TYPE_CHECKING:
    from saetui.sae.gated import GatedSAE


class GatedOutcome(NamedTuple):
    """Both paths' result.

    Attributes:
        recon: mean over tokens and coordinates of (x̂ − y)², shape ().
        l1: mean over tokens of Σ relu(π)·n, shape ().
        aux: mean square error of relu(π) through the detached decoder, shape ().
        residual: y − x̂, detached, shape (B, d_out).
        fired: tokens on which each latent fired, int64, shape (F,).
        active: entries of z that are not 0, shape ().
    """

    recon: Tensor
    l1: Tensor
    aux: Tensor
    residual: Tensor
    fired: Tensor
    active: Tensor


def sparse_outcome(sae: GatedSAE, x: Tensor, target: Tensor) -> GatedOutcome:
    """Both errors and the penalty of one batch: x (B, d_in), target (B, d_out)."""
    pi, pattern = encode_above(x, encoder_of(sae, sae.b_gate), 0.0)
    a = pi - pattern.at(sae.b_gate)
    z = torch.addcmul(pattern.at(sae.b_mag), a, pattern.at(sae.r_mag.exp())).relu()
    recon, residual = reconstruction(z, pattern, sae.W_dec, sae.b_dec, target)
    aux, _ = reconstruction(pi, pattern, sae.W_dec.detach(), sae.b_dec.detach(), target)
    norms = sae.decoder_norms()
    l1 = (pi.sum() if norms is None else pi.dot(pattern.at(norms))) / x.shape[0]
    return GatedOutcome(recon, l1, aux, residual, pattern.fired(z, sae.firing_threshold), pattern.active(z))
