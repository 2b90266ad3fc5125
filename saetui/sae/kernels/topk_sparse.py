"""The sparse path of the top-k family: one dense product for h; decoding and all gradients cost L0 of F.

Nothing of shape (B, F) but h itself is made, and h is freed within the forward pass; nothing of shape (B, k, d) at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.dense import mask_where_inactive, product
from saetui.sae.kernels.selection import Selection
from saetui.sae.kernels.sparse import (
    Codes,
    by_latent,
    by_prefix,
    decode,
    fixed_codes,
    gradient_of_values,
    sparse_is_faster,
    sums_by_latent,
    transposed_gradient,
    weight_gradient,
)

if TYPE_CHECKING:
    from saetui.sae.base import SparseAutoencoder

# The mean-square residual that AuxK divides by, kept away from 0: an SAE that is perfect has nothing to revive for.
_TINY = 1e-12


@dataclass(frozen=True)
class AuxK:
    """What the auxiliary term is made with.

    Attributes:
        dead: the dead latents, shape (n,).
        count: how many of them each token uses, at most n.
        coefficient: alpha · min(n / aux_k, 1).
        residual_mean_square: that of the whole batch, shape (), or None to take it from the residual at hand.
    """

    dead: Tensor
    count: int
    coefficient: float
    residual_mean_square: Tensor | None

    def normaliser(self, residual: Tensor) -> Tensor:
        """mean(e²) of the whole batch, shape ()."""
        mean_square = self.residual_mean_square
        return (residual.square().mean() if mean_square is None else mean_square).clamp_min(_TINY)


class TopKOutcome(NamedTuple):
    """Both paths' result; each of shape () but `errors` and `fired`, and only the first two differentiable.

    Attributes:
        recon: mean over prefixes (one: all latents), tokens and coordinates of (x̂ − y)².
        aux: AuxK's term.
        errors: ‖x̂ − y‖² of each token with all latents, shape (B,).
        l1: Σ z·n.
        fired: tokens on which each latent fired, int64, shape (F,).
        active: entries of z that are not 0, shape ().
        smallest: the smallest activation that was kept; infinite where none was.
    """

    recon: Tensor
    aux: Tensor
    errors: Tensor
    l1: Tensor
    fired: Tensor
    active: Tensor
    smallest: Tensor


def sparse_outcome(
    sae: SparseAutoencoder, x: Tensor, y: Tensor, selection: Selection, widths: Sequence[int], aux: AuxK | None
) -> TopKOutcome:
    """Reconstruction error and AuxK of one batch.

    Args:
        sae: the weights.
        x: shape (B, d_in); gets no gradient.
        y: the target, shape (B, d_out); gets a gradient if it asks for one.
        selection: which entries of h are kept.
        widths: the nested prefixes of the latents that reconstruct each for themselves, ascending, the last F.
        aux: the auxiliary term, or None while nothing is dead.
    """
    weights = (sae.encoder_weight, sae.b_enc, sae.W_dec, sae.b_dec)
    recon, aux_term, errors, values, indices = _SparseTopK.apply(  # type: ignore[no-untyped-call]  # torch's
        x, y, *weights, sae.centres_input, selection, tuple(widths), aux, sae.compute_dtype
    )
    with torch.no_grad():
        fired = sums_by_latent((values > sae.firing_threshold).to(torch.int64), indices, sae.latents)
        active = fired.sum() if sae.firing_threshold == 0.0 else (values > 0.0).sum()
        norms = sae.decoder_norms()
        l1 = values.sum() if norms is None else (values * norms[indices]).sum()
        nothing = values.new_full((1,), torch.inf)
        smallest = torch.cat([torch.where(values > 0, values, torch.inf), nothing]).min()
    return TopKOutcome(recon, aux_term, errors, l1, fired, active, smallest)


class _SparseTopK(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        centre: bool,
        selection: Selection,
        widths: tuple[int, ...],
        aux: AuxK | None,
        dtype: torch.dtype | None,
    ) -> tuple[Tensor, ...]:
        centred = x - b_dec if centre else x
        h = product(centred, W_enc, dtype, b_enc)
        codes = selection.codes(h)
        if len(widths) > 1:
            codes = by_prefix(codes, widths)
        # One reconstruction for each prefix, (m, B, d_out): what its own latents add to the prefix before it.
        residual = decode(codes, W_dec).view(len(widths), *y.shape)
        if len(widths) > 1:
            residual = residual.cumsum(0)
        residual.add_(b_dec).neg_().add_(y)
        recon = residual.square().mean()
        errors = residual[-1].square().sum(1)
        aux_term = recon.new_zeros(())
        ctx.aux_codes = None
        if aux is not None:
            ctx.aux_codes, error = _aux_forward(h, residual[-1], W_dec, aux, dtype)
            ctx.aux_error = error
            ctx.aux_factor = aux.coefficient / aux.normaliser(residual[-1])
            aux_term = error.square().mean() * ctx.aux_factor
        ctx.save_for_backward(centred, residual, *codes, W_enc, W_dec)
        ctx.centre, ctx.aux, ctx.dtype = centre, aux, dtype
        ctx.mark_non_differentiable(errors, codes.values, codes.indices)
        return recon, aux_term, errors, codes.values, codes.indices

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        centred, residual, *entries, W_enc, W_dec = ctx.saved_tensors
        codes = Codes(*entries)
        grad_x_hat = residual * (gradients[0] * (-2.0 / residual.numel()))
        grad_y = grad_x_hat.sum(0).neg_() if ctx.needs_input_grad[1] else None
        grad_b_dec = grad_x_hat.sum((0, 1))
        if grad_x_hat.shape[0] > 1:
            # A latent is in its own prefix and in all longer ones.
            grad_x_hat = grad_x_hat.flip(0).cumsum(0).flip(0)
        grad_W_dec, grad_W_enc, grad_b_enc = _sparse_gradients(grad_x_hat.flatten(0, 1), centred, W_dec, codes)
        if ctx.aux is not None:
            grad_e_hat = ctx.aux_error * (gradients[1] * ctx.aux_factor * (2.0 / ctx.aux_error.numel()))
            if isinstance(ctx.aux_codes, Codes):
                for whole, part in zip(
                    (grad_W_dec, grad_W_enc, grad_b_enc),
                    _sparse_gradients(grad_e_hat, centred, W_dec, ctx.aux_codes),
                    strict=True,
                ):
                    whole.add_(part)
            else:
                dead, z = ctx.aux.dead, ctx.aux_codes
                grad_h = mask_where_inactive(product(grad_e_hat, W_dec[dead].t(), ctx.dtype), z)
                grad_W_dec.index_add_(0, dead, product(z.t(), grad_e_hat, ctx.dtype))
                grad_W_enc.index_add_(1, dead, product(centred.t(), grad_h, ctx.dtype))
                grad_b_enc.index_add_(0, dead, grad_h.sum(0))
        if ctx.centre:
            grad_b_dec -= torch.mv(W_enc, grad_b_enc)
        return None, grad_y, grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, None, None, None, None, None


def _aux_forward(
    h: Tensor, residual: Tensor, W_dec: Tensor, aux: AuxK, dtype: torch.dtype | None
) -> tuple[Codes | Tensor, Tensor]:
    """The auxiliary codes, sparse or (where most dead latents are used) dense over the dead, and ê − e."""
    h_dead = h.index_select(1, aux.dead)
    if sparse_is_faster(aux.count, aux.dead.shape[0]):
        values, places = h_dead.topk(aux.count, dim=1, sorted=False)
        codes = fixed_codes(values.relu_(), aux.dead[places])
        return codes, decode(codes, W_dec).sub_(residual)
    if aux.count == aux.dead.shape[0]:
        z = h_dead.relu_()
    else:
        values, places = h_dead.topk(aux.count, dim=1, sorted=False)
        z = h_dead.zero_().scatter_(1, places, values.relu_())
    return z, product(z, W_dec[aux.dead], dtype).sub_(residual)


def _sparse_gradients(
    grad_x_hat: Tensor, centred: Tensor, W_dec: Tensor, codes: Codes
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of W_dec (F, d_out), of W_enc (d_in, F), and of b_enc (F,).

    Args:
        grad_x_hat: one row for each of the codes', (m·B, d_out): m times as many as there are tokens.
        centred: shape (B, d_in).
        W_dec: shape (F, d_out).
        codes: the entries.
    """
    latents, tokens = W_dec.shape[0], centred.shape[0]
    grad_h = gradient_of_values(grad_x_hat, W_dec, codes)
    entries = by_latent(codes, latents)
    grad_W_dec = weight_gradient(codes.values, entries, grad_x_hat)
    if grad_x_hat.shape[0] > tokens:
        entries = entries._replace(rows=entries.rows % tokens)
    return (
        grad_W_dec,
        transposed_gradient(grad_h, entries, centred),
        sums_by_latent(grad_h, codes.indices, latents),
    )
