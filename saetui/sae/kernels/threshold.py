"""z = h·1[h > θ] with a penalty on L0 or a smooth stand-in, and straight-through gradients for θ.

The gradients are those of Rajamanoharan et al. 2024 (arXiv 2407.14435, section 3): with the rectangle kernel K(u) = 1[|u| < ½]
and u = (h − θ)/ε, ∂z/∂θ = −(θ/ε)·K(u), ∂z/∂h = 1[h > θ] and, for the step s = 1[h > θ], ∂s/∂θ = −K(u)/ε; the step has no
gradient to h. Below the window of its θ an entry has neither value nor gradient: the sparse way leaves those out.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, count_above, in_dtype, product, row_blocks
from saetui.sae.kernels.sparse_layers import encode_above, reconstruction
from saetui.sae.kernels.weights import KernelOptions, Outcome, Weights

SparsityMode = Literal["step", "quadratic", "tanh"]

_TANH_SCALE = 4.0
# Half a bandwidth and a little more, so that rounding loses no entry at the edge of the window.
_HALF = 0.5001


class ThresholdOptions(NamedTuple):
    """The penalty, and the width of the straight-through gradients.

    Attributes:
        sparsity_mode: step: the mean over tokens of L0 = Σ s. quadratic: the mean of (2/l0_target)(L0 − l0_target)². tanh: the
            mean of Σ tanh(4·z·n).
        l0_target: active latents a token that `quadratic` aims at.
        bandwidth: ε, in units of h.
    """

    sparsity_mode: SparsityMode
    l0_target: float
    bandwidth: float


def window_floor(threshold: Tensor, bandwidth: float) -> Tensor:
    """Where the windows of θ (F,) begin. Shape (F,), detached."""
    return threshold.detach() - _HALF * bandwidth


def threshold_losses(
    x: Tensor, target: Tensor, weights: Weights, threshold: Tensor, how: ThresholdOptions, *, sparse: bool
) -> Outcome:
    """Reconstruction error and penalty of one batch.

    Args:
        x: shape (B, d_in); gets no gradient.
        target: shape (B, d_out); gets a gradient where it needs one.
        weights: of the SAE.
        threshold: θ ≥ 0, shape (F,).
        how: penalty and bandwidth.
        sparse: whether to compute the entries above the windows' floor alone; otherwise by five dense products forward and
            backward, everything else in place, a few rows at a time.
    """
    if sparse:
        return _above_windows(x, target, weights, threshold, how)
    return Outcome(*_Dense.apply(x, target, threshold, how, *weights))  # type: ignore[no-untyped-call]  # torch's apply


def jump(h: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
    """z = h·1[h > θ] and the step 1[h > θ] as a number, entry by entry, with the gradients above.

    Args:
        h: pre-activations.
        threshold: θ, of h's shape.
        bandwidth: ε.
    """
    z, step = _Jump.apply(h, threshold, bandwidth)  # type: ignore[no-untyped-call]  # torch's apply
    return z, step


class _Jump(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
        step = (h > threshold).to(h.dtype)
        ctx.save_for_backward(h, threshold, step)
        ctx.bandwidth = bandwidth
        return h * step, step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_z, grad_step = gradients
        h, threshold, step = ctx.saved_tensors
        inside = (h - threshold).abs() < ctx.bandwidth / 2
        grad_threshold = (threshold * grad_z + grad_step) * inside * (-1.0 / ctx.bandwidth)
        return grad_z * step, grad_threshold, None


def _above_windows(x: Tensor, target: Tensor, weights: Weights, threshold: Tensor, how: ThresholdOptions) -> Outcome:
    norms = weights.norms
    h, pattern = encode_above(x, weights, window_floor(threshold, how.bandwidth))
    z, step = jump(h, pattern.at(threshold), how.bandwidth)
    recon, residual = reconstruction(z, pattern, weights.W_dec, weights.b_dec, target)
    if how.sparsity_mode == "tanh":
        strength = z if norms is None else z * pattern.at(norms)
        penalty = torch.tanh(_TANH_SCALE * strength).sum() / x.shape[0]
    elif how.sparsity_mode == "quadratic":
        penalty = (2.0 / how.l0_target) * (pattern.by_token(step) - how.l0_target).square().mean()
    else:
        penalty = step.sum() / x.shape[0]
    with torch.no_grad():
        l1 = z.sum() if norms is None else pattern.by_latent(z).dot(norms)
    fired = pattern.fired(z, weights.options.firing_threshold)
    return Outcome(recon, penalty, residual, l1, fired, pattern.active(z))


class _Dense(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        target: Tensor,
        threshold: Tensor,
        how: ThresholdOptions,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        norms: Tensor | None,
        options: KernelOptions,
    ) -> tuple[Tensor, ...]:
        centred = x - b_dec if options.centre else x
        h = product(centred, W_enc, options.dtype, b_enc)
        residual = torch.empty_like(target)
        l0 = h.new_empty(h.shape[0])
        sums, squashed = h.new_zeros(h.shape[1]), h.new_zeros(())
        forth = in_dtype(W_dec, options.dtype)
        fired = torch.zeros(h.shape[1], dtype=torch.int64, device=h.device)
        active = torch.zeros((), dtype=torch.int64, device=h.device)
        for rows in row_blocks(h):
            z = h[rows] * (h[rows] > threshold)
            torch.sub(target[rows], product(z, forth, options.dtype, b_dec), out=residual[rows])
            fired += (counts := count_above(z, options.firing_threshold))
            active += (counts if options.firing_threshold == 0.0 else count_above(z, 0.0)).sum()
            sums += z.sum(0)
            if how.sparsity_mode == "tanh":
                squashed += torch.tanh_(_weighted(z, norms).mul_(_TANH_SCALE)).sum()
            else:
                # θ is not below 0: z is positive wherever h exceeds θ.
                l0[rows] = z.gt_(0.0).sum(1)
        if how.sparsity_mode == "tanh":
            penalty = squashed / h.shape[0]
        elif how.sparsity_mode == "quadratic":
            penalty = (2.0 / how.l0_target) * (l0 - how.l0_target).square().mean()
        else:
            penalty = l0.mean()
        l1 = sums.sum() if norms is None else sums.dot(norms)
        ctx.save_for_backward(centred, h, residual, l0, W_enc, W_dec, threshold, norms)
        ctx.how, ctx.options = how, options
        ctx.mark_non_differentiable(residual, l1, fired, active)
        return residual.square().mean(), penalty, residual, l1, fired, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_recon, grad_penalty = gradients[:2]
        centred, h, residual, l0, W_enc, W_dec, threshold, norms = ctx.saved_tensors
        how: ThresholdOptions = ctx.how
        tokens, dtype = h.shape[0], ctx.options.dtype
        grad_x_hat = residual * (grad_recon * (-2.0 / residual.numel()))
        back = in_dtype(W_dec.t(), dtype)
        grad_step = _step_gradient(how, l0, grad_penalty / tokens)
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
            if how.sparsity_mode == "tanh":
                # d tanh(4s)/ds = 4·(1 − tanh²(4s)), in place.
                squared = _weighted(z, norms).mul_(_TANH_SCALE).tanh_().square_()
                slope = squared.neg_().add_(1.0).mul_(_TANH_SCALE).mul_(grad_penalty / tokens)
                if norms is None or grad_norms is None:
                    grad += slope
                else:
                    grad_norms += (slope * z).sum(0)
                    grad += slope.mul_(norms)
            inside = (beyond.abs_() < how.bandwidth / 2).to(h.dtype)
            if how.sparsity_mode != "tanh":
                grad_threshold += torch.mv(inside.t(), grad_step[rows])
            grad_threshold += inside.mul_(grad).sum(0).mul_(threshold)
            grad_b_enc += grad.mul_(on).sum(0)
            add_product(grad_W_enc, centred[rows].t(), grad, dtype)
        grad_threshold *= -1.0 / how.bandwidth
        grad_b_dec = grad_x_hat.sum(0)
        if ctx.options.centre:
            grad_b_dec -= torch.mv(W_enc, grad_b_enc)
        grad_target = -grad_x_hat if ctx.needs_input_grad[1] else None
        weights = grad_W_enc, grad_b_enc, grad_W_dec, grad_b_dec, grad_norms
        return None, grad_target, grad_threshold, None, *weights, None


def _weighted(z: Tensor, norms: Tensor | None) -> Tensor:
    return z.clone() if norms is None else z * norms


def _step_gradient(how: ThresholdOptions, l0: Tensor, each: Tensor) -> Tensor:
    """∂loss/∂step for the entries of each token, shape (B,); `each` is the penalty's gradient for one token."""
    if how.sparsity_mode == "quadratic":
        return (4.0 / how.l0_target) * (l0 - how.l0_target) * each
    return each.expand(l0.shape[0])
