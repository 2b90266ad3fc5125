"""The dense path of the top-k family, left to autograd: for high k, and the reference for the sparse one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saetui.sae.kernels.dense import count_above, pre_activations, product
from saetui.sae.kernels.selection import LargestOfEach, Selection
from saetui.sae.kernels.topk_sparse import AuxK, TopKOutcome

if TYPE_CHECKING:
    from saetui.sae.base import SparseAutoencoder


def dense_outcome(
    sae: SparseAutoencoder, x: Tensor, y: Tensor, selection: Selection, widths: Sequence[int], aux: AuxK | None
) -> TopKOutcome:
    """Reconstruction error and AuxK of one batch, with a dense z. Arguments as in `sparse_outcome`."""
    b_in = sae.b_dec if sae.centres_input else None
    h = pre_activations(x, sae.encoder_weight, sae.b_enc, b_in, sae.compute_dtype)
    z = selection.dense(h)
    residual, recons, start = y - sae.b_dec, [], 0
    for width in widths:
        # product, not residual.addmm: its operands may be in another dtype.
        residual = residual - product(z[:, start:width], sae.W_dec[start:width], sae.compute_dtype)
        recons.append(residual.square().mean())
        start = width
    recon = torch.stack(recons).mean()
    aux_term = recon.new_zeros(())
    if aux is not None:
        e = residual.detach()
        z_aux = LargestOfEach(aux.count).dense(h[:, aux.dead])
        e_hat = product(z_aux, sae.W_dec[aux.dead], sae.compute_dtype)
        aux_term = aux.coefficient * (e_hat - e).square().mean() / aux.normaliser(e)
    norms = sae.decoder_norms()
    with torch.no_grad():
        sums = z.sum(0)
        l1 = sums.sum() if norms is None else sums.dot(norms)
        fired = count_above(z, sae.firing_threshold)
        active = fired.sum() if sae.firing_threshold == 0.0 else count_above(z, 0.0).sum()
        smallest = torch.where(z > 0, z, torch.inf).min()
        errors = residual.square().sum(1)
    return TopKOutcome(recon, aux_term, errors, l1, fired, active, smallest)
