"""The L1 loss of a ReLU autoencoder by the path that suits the batch: dense products, or sparse ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from saetui.sae.kernels.dense import ReluOutcome, relu_losses
from saetui.sae.kernels.sparse_layers import Encoder, encode_above, is_sparse, reconstruction

if TYPE_CHECKING:
    from saetui.sae.base import Path, SparseAutoencoder


def encoder_of(sae: SparseAutoencoder, bias: Tensor | None) -> Encoder:
    """The encoder of an SAE, with the given bias."""
    return Encoder(sae.encoder_weight, bias, sae.b_dec if sae.centres_input else None, sae.compute_dtype)


def l1_losses(sae: SparseAutoencoder, x: Tensor, target: Tensor, path: Path) -> ReluOutcome:
    """Reconstruction error and L1 of z = relu(h).

    Args:
        sae: the weights.
        x: shape (B, d_in); gets no gradient.
        target: shape (B, d_out); gets one where it needs one.
        path: which products; "auto" looks at the batch's density.
    """
    encoder = encoder_of(sae, sae.encoder_bias)
    if path == "sparse" or (path == "auto" and is_sparse(x, encoder, 0.0)):
        return _sparse(sae, x, target, encoder)
    return relu_losses(
        x,
        target,
        sae.encoder_weight,
        sae.encoder_bias,
        sae.W_dec,
        sae.b_dec,
        norms=sae.decoder_norms(),
        centre=sae.centres_input,
        firing_threshold=sae.firing_threshold,
        dtype=sae.compute_dtype,
    )


def _sparse(sae: SparseAutoencoder, x: Tensor, target: Tensor, encoder: Encoder) -> ReluOutcome:
    z, pattern = encode_above(x, encoder, 0.0)
    recon, residual = reconstruction(z, pattern, sae.W_dec, sae.b_dec, target)
    norms = sae.decoder_norms()
    l1 = (z.sum() if norms is None else pattern.by_latent(z).dot(norms)) / x.shape[0]
    return ReluOutcome(recon, l1, residual, pattern.fired(z, sae.firing_threshold), pattern.active(z))
