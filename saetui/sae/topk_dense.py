"""The dense path of topk, left to autograd: for high k, and the reference for the sparse one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saetui.sae.dense import count_above, pre_activations, product
from saetui.sae.topk_sparse import AuxK, TopKOutcome

if TYPE_CHECKING:
    from saetui.sae.base import SparseAutoencoder


def dense_outcome(sae: SparseAutoencoder, x: Tensor, y: Tensor, k: int, aux: AuxK | None) -> TopKOutcome:
    """Reconstruction error and AuxK of one batch, with a dense z. Arguments as in `sparse_outcome`."""
    b_in = sae.b_dec if sae.centres_input else None
    h = pre_activations(x, sae.encoder_weight, sae.b_enc, b_in, sae.compute_dtype)
    z = keep_largest(h, k)
    residual = y - product(z, sae.W_dec, sae.compute_dtype, sae.b_dec)
    recon = residual.square().mean()
    aux_term = recon.new_zeros(())
    if aux is not None:
        e = residual.detach()
        e_hat = product(keep_largest(h[:, aux.dead], aux.count), sae.W_dec[aux.dead], sae.compute_dtype)
        aux_term = aux.coefficient * (e_hat - e).square().mean() / aux.normaliser(e)
    norms = sae.decoder_norms()
    with torch.no_grad():
        sums = z.sum(0)
        l1 = sums.sum() if norms is None else sums.dot(norms)
        fired = count_above(z, sae.firing_threshold)
    return TopKOutcome(recon, aux_term, l1, fired)


def keep_largest(h: Tensor, k: int) -> Tensor:
    """The k largest of each row of h (B, F), through relu, all else 0: shape (B, F)."""
    values, indices = h.topk(k, dim=1, sorted=False)
    return torch.zeros_like(h).scatter(1, indices, values.relu())
