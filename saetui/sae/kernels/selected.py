"""z = the entries of h that a selection keeps: reconstruction error of nested prefixes of the latents, and AuxK.

The sparse way makes one dense product, for h; decoding and all gradients cost L0 of F. Nothing of shape (B, F) but h itself
is made, and h is freed within the forward pass; nothing of shape (B, k, d) is made at all. The dense way, left to autograd, is
for high k, and the reference for the sparse one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.dense import count_above, mask_where_inactive, pre_activations, product
from saetui.sae.kernels.selection import LargestOfEach, Selection
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
from saetui.sae.kernels.weights import KernelOptions, Weights

# AuxK divides by the mean-square residual, which is kept away from 0: a perfect SAE has nothing left to explain.
_TINY = 1e-12


@dataclass(frozen=True)
class AuxK:
    """What the auxiliary term is made with.

    Attributes:
        dead: the dead latents, shape (n,).
        count: how many of them each token uses, at most n.
        coefficient: alpha · min(n / aux_k, 1).
        residual_mean_square: that of the whole batch, shape (); None to take it from the residual of this one.
    """

    dead: Tensor
    count: int
    coefficient: float
    residual_mean_square: Tensor | None

    def normaliser(self, residual: Tensor) -> Tensor:
        """mean(e²) of the whole batch, shape ()."""
        mean_square = self.residual_mean_square
        return (residual.square().mean() if mean_square is None else mean_square).clamp_min(_TINY)


class SelectedOutcome(NamedTuple):
    """Each of shape () but `errors` and `fired`; only the first two are differentiable.

    Attributes:
        recon: mean over prefixes (one: all latents), tokens and coordinates of (x̂ − y)².
        aux: AuxK's term.
        errors: ‖x̂ − y‖² of each token with all latents, shape (B,).
        l1: Σ z·n.
        fired: tokens on which each latent fired, int64, shape (F,).
        active: entries of z that are not 0.
        smallest: the smallest activation that was kept; infinite where none was.
    """

    recon: Tensor
    aux: Tensor
    errors: Tensor
    l1: Tensor
    fired: Tensor
    active: Tensor
    smallest: Tensor


def selected_losses(
    x: Tensor,
    y: Tensor,
    weights: Weights,
    selection: Selection,
    widths: Sequence[int],
    aux: AuxK | None,
    *,
    sparse: bool,
) -> SelectedOutcome:
    """Reconstruction error and AuxK of one batch.

    Args:
        x: shape (B, d_in); gets no gradient.
        y: the target, shape (B, d_out); gets a gradient where it needs one.
        weights: of the SAE.
        selection: which entries of h are kept.
        widths: the nested prefixes of the latents that each reconstruct alone, ascending, the last F.
        aux: the auxiliary term, or None while nothing is dead.
        sparse: which way to take.
    """
    return (_sparse if sparse else _dense)(x, y, weights, selection, widths, aux)


def _dense(
    x: Tensor, y: Tensor, weights: Weights, selection: Selection, widths: Sequence[int], aux: AuxK | None
) -> SelectedOutcome:
    W_dec, norms, (_, threshold, dtype) = weights.W_dec, weights.norms, weights.options
    h = pre_activations(x, weights.W_enc, weights.b_enc, weights.b_in, dtype)
    z = selection.dense(h)
    residual, recons, start = y - weights.b_dec, [], 0
    for width in widths:
        # product, not residual.addmm: its operands may have another dtype.
        residual = residual - product(z[:, start:width], W_dec[start:width], dtype)
        recons.append(residual.square().mean())
        start = width
    recon = torch.stack(recons).mean()
    aux_term = recon.new_zeros(())
    if aux is not None:
        e = residual.detach()
        z_aux = LargestOfEach(aux.count).dense(h[:, aux.dead])
        e_hat = product(z_aux, W_dec[aux.dead], dtype)
        aux_term = aux.coefficient * (e_hat - e).square().mean() / aux.normaliser(e)
    with torch.no_grad():
        sums = z.sum(0)
        l1 = sums.sum() if norms is None else sums.dot(norms)
        fired = count_above(z, threshold)
        active = fired.sum() if threshold == 0.0 else count_above(z, 0.0).sum()
        smallest = torch.where(z > 0, z, torch.inf).min()
        errors = residual.square().sum(1)
    return SelectedOutcome(recon, aux_term, errors, l1, fired, active, smallest)


def _sparse(
    x: Tensor, y: Tensor, weights: Weights, selection: Selection, widths: Sequence[int], aux: AuxK | None
) -> SelectedOutcome:
    W_enc, b_enc, W_dec, b_dec, norms, options = weights
    recon, aux_term, errors, values, indices = _Sparse.apply(  # type: ignore[no-untyped-call]  # torch's
        x, y, W_enc, b_enc, W_dec, b_dec, options, selection, tuple(widths), aux
    )
    with torch.no_grad():
        fired = sums_by_latent((values > options.firing_threshold).to(torch.int64), indices, W_dec.shape[0])
        active = fired.sum() if options.firing_threshold == 0.0 else (values > 0.0).sum()
        l1 = values.sum() if norms is None else (values * norms[indices]).sum()
        nothing = values.new_full((1,), torch.inf)
        smallest = torch.cat([torch.where(values > 0, values, torch.inf), nothing]).min()
    return SelectedOutcome(recon, aux_term, errors, l1, fired, active, smallest)


class _Sparse(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        options: KernelOptions,
        selection: Selection,
        widths: tuple[int, ...],
        aux: AuxK | None,
    ) -> tuple[Tensor, ...]:
        centred = x - b_dec if options.centre else x
        h = product(centred, W_enc, options.dtype, b_enc)
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
            ctx.aux_codes, error = _aux_forward(h, residual[-1], W_dec, aux, options.dtype)
            ctx.aux_error = error
            ctx.aux_factor = aux.coefficient / aux.normaliser(residual[-1])
            aux_term = error.square().mean() * ctx.aux_factor
        ctx.save_for_backward(centred, residual, *codes, W_enc, W_dec)
        ctx.options, ctx.aux = options, aux
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
                dead, z, dtype = ctx.aux.dead, ctx.aux_codes, ctx.options.dtype
                grad_h = mask_where_inactive(product(grad_e_hat, W_dec[dead].t(), dtype), z)
                grad_W_dec.index_add_(0, dead, product(z.t(), grad_e_hat, dtype))
                grad_W_enc.index_add_(1, dead, product(centred.t(), grad_h, dtype))
                grad_b_enc.index_add_(0, dead, grad_h.sum(0))
        if ctx.options.centre:
            grad_b_dec -= torch.mv(W_enc, grad_b_enc)
        return None, grad_y, grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, None, None, None, None


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
    return (grad_W_dec, transposed_gradient(grad_h, entries, centred), sums_by_latent(grad_h, codes.indices, latents))
