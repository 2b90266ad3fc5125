"""z = relu(h) with an L1 penalty: reconstruction error and penalty by dense products, or over the positive entries alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, count_above, in_dtype, mask_where_inactive, product, row_blocks
from saetui.sae.kernels.sparse_layers import encode_above, reconstruction
from saetui.sae.kernels.weights import KernelOptions, Outcome, Weights


def relu_losses(x: Tensor, target: Tensor, weights: Weights, *, sparse: bool) -> Outcome:
    """Reconstruction error and L1 (the mean over tokens of Σ z·n).

    Args:
        x: shape (B, d_in); gets no gradient.
        target: shape (B, d_out); gets a gradient where it needs one.
        weights: of the SAE.
        sparse: whether to compute the positive entries alone; otherwise by five dense products forward and backward.
    """
    if sparse:
        z, pattern = encode_above(x, weights, 0.0)
        recon, residual = reconstruction(z, pattern, weights.W_dec, weights.b_dec, target)
        l1 = (z.sum() if weights.norms is None else pattern.by_latent(z).dot(weights.norms)) / x.shape[0]
        fired, active = pattern.fired(z, weights.options.firing_threshold), pattern.active(z)
    else:
        recon, l1, residual, fired, active = _Dense.apply(x, target, *weights)  # type: ignore[no-untyped-call]  # torch's
    return Outcome(recon, l1, residual, l1.detach() * x.shape[0], fired, active)


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        target: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        norms: Tensor | None,
        options: KernelOptions,
    ) -> tuple[Tensor, ...]:
        centred = x - b_dec if options.centre else x
        z = product(centred, W_enc, options.dtype, b_enc).relu_()
        residual = target - product(z, W_dec, options.dtype, b_dec)
        recon = residual.square().mean()
        sums = z.sum(0)
        l1 = (sums.sum() if norms is None else sums.dot(norms)) / x.shape[0]
        fired = count_above(z, options.firing_threshold)
        active = fired.sum() if options.firing_threshold == 0.0 else count_above(z, 0.0).sum()
        ctx.save_for_backward(centred, z, residual, sums, W_enc, W_dec, norms)
        ctx.options = options
        ctx.mark_non_differentiable(residual, fired, active)
        return recon, l1, residual, fired, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        centred, z, residual, sums, W_enc, W_dec, norms = ctx.saved_tensors
        dtype = ctx.options.dtype
        grad_l1 = gradients[1] / z.shape[0]
        grad_x_hat = residual * (gradients[0] * (-2.0 / residual.numel()))
        penalty = grad_l1.expand(z.shape[1]) if norms is None else grad_l1 * norms
        back = in_dtype(W_dec.t(), dtype)
        grad_W_enc, grad_b_enc = W_enc.new_zeros(W_enc.shape), torch.zeros_like(sums)
        for rows in row_blocks(z):
            # The penalty enters as the product's bias: it needs no pass of its own over (B, F).
            grad_h = mask_where_inactive(product(grad_x_hat[rows], back, dtype, penalty), z[rows])
            add_product(grad_W_enc, centred[rows].t(), grad_h, dtype)
            grad_b_enc += grad_h.sum(0)
        grad_W_dec = product(z.t(), grad_x_hat, dtype)
        grad_b_dec = grad_x_hat.sum(0)
        if ctx.options.centre:
            grad_b_dec -= torch.mv(W_enc, grad_b_enc)
        grad_norms = None if norms is None else sums * grad_l1
        grad_target = -grad_x_hat if ctx.needs_input_grad[1] else None
        return None, grad_target, grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, grad_norms, None
