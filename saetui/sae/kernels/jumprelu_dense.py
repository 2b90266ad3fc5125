"""jumprelu's dense path, by five products forward and backward; all else is done in place, a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, count_above, in_dtype, product, row_blocks
from saetui.sae.kernels.jumprelu_sparse import TANH_SCALE, JumpOutcome

if TYPE_CHECKING:
    from saetui.sae.jumprelu import JumpReLUSAE


def dense_outcome(sae: JumpReLUSAE, x: Tensor, target: Tensor) -> JumpOutcome:
    """Reconstruction error and penalty of one batch: x (B, d_in), target (B, d_out)."""
    arguments = (sae.encoder_weight, sae.b_enc, sae.W_dec, sae.b_dec, sae.threshold, sae.decoder_norms())
    return JumpOutcome(*_DenseJump.apply(sae, x, target, *arguments))  # type: ignore[no-untyped-call]  # torch's apply


class _DenseJump(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sae: JumpReLUSAE,
        x: Tensor,
        target: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        threshold: Tensor,
        norms: Tensor | None,
    ) -> tuple[Tensor, ...]:
        centred = x - b_dec if sae.centres_input else x
        h = product(centred, W_enc, sae.compute_dtype, b_enc)
        residual = torch.empty_like(target)
        l0 = h.new_empty(h.shape[0])
        sums, squashed = h.new_zeros(sae.latents), h.new_zeros(())
        forth = in_dtype(W_dec, sae.compute_dtype)
        fired = torch.zeros(sae.latents, dtype=torch.int64, device=h.device)
        active = torch.zeros((), dtype=torch.int64, device=h.device)
        for rows in row_blocks(h):
            z = h[rows] * (h[rows] > threshold)
            torch.sub(target[rows], product(z, forth, sae.compute_dtype, b_dec), out=residual[rows])
            fired += (counts := count_above(z, sae.firing_threshold))
            active += (counts if sae.firing_threshold == 0.0 else count_above(z, 0.0)).sum()
            sums += z.sum(0)
            if sae.sparsity_mode == "tanh":
                squashed += torch.tanh_(_weighted(z, norms).mul_(TANH_SCALE)).sum()
            else:
                # θ is not below 0: where the step is up, z is positive.
                l0[rows] = z.gt_(0.0).sum(1)
        if sae.sparsity_mode == "tanh":
            penalty = squashed / h.shape[0]
        elif sae.sparsity_mode == "quadratic":
            penalty = (2.0 / sae.l0_target) * (l0 - sae.l0_target).square().mean()
        else:
            penalty = l0.mean()
        l1 = sums.sum() if norms is None else sums.dot(norms)
        ctx.save_for_backward(centred, h, residual, l0, W_enc, W_dec, threshold, norms)
        ctx.sae = sae
        ctx.mark_non_differentiable(residual, l1, fired, active)
        return residual.square().mean(), penalty, residual, l1, fired, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_recon, grad_penalty = gradients[:2]
        centred, h, residual, l0, W_enc, W_dec, threshold, norms = ctx.saved_tensors
        sae: JumpReLUSAE = ctx.sae
        tokens, dtype = h.shape[0], sae.compute_dtype
        grad_x_hat = residual * (grad_recon * (-2.0 / residual.numel()))
        back = in_dtype(W_dec.t(), dtype)
        grad_step = _step_gradient(sae, l0, grad_penalty / tokens)
        grad_threshold = torch.zeros_like(threshold)
        grad_norms = None if norms is None else torch.zeros_like(norms)
        grad_W_enc, grad_W_dec = W_enc.new_zeros(W_enc.shape), torch.zeros_like(W_dec)
        grad_b_enc = torch.zeros_like(threshold)
        for rows in row_blocks(h):
            beyond = h[rows] - threshold
            on = (beyond > 0).to(h.dtype)
            z = h[rows] * on
            grad = product(grad_x_hat[rows], back, dtype)
            add_product(grad_W_dec, z.t(), grad_x_hat[rows], dtype)
            if sae.sparsity_mode == "tanh":
                slope = _tanh_slope(_weighted(z, norms)).mul_(grad_penalty / tokens)
                if norms is None or grad_norms is None:
                    grad += slope
                else:
                    grad_norms += (slope * z).sum(0)
                    grad += slope.mul_(norms)
            inside = (beyond.abs_() < sae.bandwidth / 2).to(h.dtype)
            if sae.sparsity_mode != "tanh":
                grad_threshold += torch.mv(inside.t(), grad_step[rows])
            grad_threshold += inside.mul_(grad).sum(0).mul_(threshold)
            grad_b_enc += grad.mul_(on).sum(0)
            add_product(grad_W_enc, centred[rows].t(), grad, dtype)
        grad_threshold *= -1.0 / sae.bandwidth
        grad_b_dec = grad_x_hat.sum(0)
        if sae.centres_input:
            grad_b_dec -= torch.mv(W_enc, grad_b_enc)
        grad_target = -grad_x_hat if ctx.needs_input_grad[2] else None
        return None, None, grad_target, grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, grad_threshold, grad_norms


def _weighted(z: Tensor, norms: Tensor | None) -> Tensor:
    return z.clone() if norms is None else z * norms


def _tanh_slope(strength: Tensor) -> Tensor:
    """d tanh(4s)/ds, in place."""
    return strength.mul_(TANH_SCALE).tanh_().square_().neg_().add_(1.0).mul_(TANH_SCALE)


def _step_gradient(sae: JumpReLUSAE, l0: Tensor, each: Tensor) -> Tensor:
    """∂loss/∂step for the entries of each token, shape (B,); `each` is the penalty's gradient for one token."""
    if sae.sparsity_mode == "quadratic":
        return (4.0 / sae.l0_target) * (l0 - sae.l0_target) * each
    return each.expand(l0.shape[0])
