"""z = 1[π > 0]·relu(m) from one product a: a gate π = a + b_gate, a magnitude m = exp(r_mag)·a + b_mag.

Beside the reconstruction from z there is one from relu(π), which trains the gate and not the decoder.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, count_above, in_dtype, mask_where_inactive, product, row_blocks
from saetui.sae.kernels.sparse_layers import encode_above, reconstruction
from saetui.sae.kernels.weights import KernelOptions, Outcome, Weights


def gate_losses(
    x: Tensor, target: Tensor, weights: Weights, r_mag: Tensor, b_mag: Tensor, *, sparse: bool
) -> tuple[Outcome, Tensor]:
    """Both errors, and the penalty: the mean over tokens of Σ relu(π)·n, which also stands for the outcome's L1.

    Args:
        x: shape (B, d_in); gets no gradient.
        target: shape (B, d_out); gets a gradient where it needs one.
        weights: of the SAE, with b_gate as the encoder's bias.
        r_mag: shape (F,).
        b_mag: shape (F,).
        sparse: whether to compute the entries with an open gate alone; otherwise by dense products.

    Returns:
        The outcome, and the mean square error of relu(π) through the detached decoder, shape ().
    """
    if sparse:
        recon, l1, aux, residual, fired, active = _over_open_gates(x, target, weights, r_mag, b_mag)
    else:
        recon, l1, aux, residual, fired, active = _Dense.apply(x, target, r_mag, b_mag, *weights)  # type: ignore[no-untyped-call]  # torch's
    return Outcome(recon, l1, residual, l1.detach() * x.shape[0], fired, active), aux


def _over_open_gates(
    x: Tensor, target: Tensor, weights: Weights, r_mag: Tensor, b_mag: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    pi, pattern = encode_above(x, weights, 0.0)
    a = pi - pattern.at(weights.b_enc)
    z = torch.addcmul(pattern.at(b_mag), a, pattern.at(r_mag.exp())).relu()
    recon, residual = reconstruction(z, pattern, weights.W_dec, weights.b_dec, target)
    aux, _ = reconstruction(pi, pattern, weights.W_dec.detach(), weights.b_dec.detach(), target)
    l1 = (pi.sum() if weights.norms is None else pi.dot(pattern.at(weights.norms))) / x.shape[0]
    return recon, l1, aux, residual, pattern.fired(z, weights.options.firing_threshold), pattern.active(z)


class _Dense(torch.autograd.Function):
    """One encoder product; the gradients of gate and magnitude are added up before the product with x, a few rows at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        target: Tensor,
        r_mag: Tensor,
        b_mag: Tensor,
        W_enc: Tensor,
        b_gate: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        norms: Tensor | None,
        options: KernelOptions,
    ) -> tuple[Tensor, ...]:
        dtype = options.dtype
        centred = x - b_dec if options.centre else x
        a = product(centred, W_enc, dtype)
        forth = in_dtype(W_dec, dtype)
        gain = r_mag.exp()
        residual, gate_residual = torch.empty_like(target), torch.empty_like(target)
        sums = torch.zeros_like(b_gate)
        fired = torch.zeros(b_gate.shape, dtype=torch.int64, device=a.device)
        active = torch.zeros((), dtype=torch.int64, device=a.device)
        for rows in row_blocks(a):
            pi = (a[rows] + b_gate).relu_()
            z = mask_where_inactive(torch.addcmul(b_mag, a[rows], gain).relu_(), pi)
            torch.sub(target[rows], product(z, forth, dtype, b_dec), out=residual[rows])
            torch.sub(target[rows], product(pi, forth, dtype, b_dec), out=gate_residual[rows])
            sums += pi.sum(0)
            fired += (counts := count_above(z, options.firing_threshold))
            active += (counts if options.firing_threshold == 0.0 else count_above(z, 0.0)).sum()
        l1 = (sums.sum() if norms is None else sums.dot(norms)) / x.shape[0]
        ctx.save_for_backward(centred, a, residual, gate_residual, W_enc, b_gate, gain, b_mag, W_dec, norms)
        ctx.options = options
        ctx.mark_non_differentiable(residual, fired, active)
        return residual.square().mean(), l1, gate_residual.square().mean(), residual, fired, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_recon, grad_l1, grad_aux = gradients[:3]
        centred, a, residual, gate_residual, W_enc, b_gate, gain, b_mag, W_dec, norms = ctx.saved_tensors
        dtype = ctx.options.dtype
        grad_l1 = grad_l1 / a.shape[0]
        penalty = grad_l1.expand_as(b_gate) if norms is None else grad_l1 * norms
        grad_x_hat = residual * (grad_recon * (-2.0 / residual.numel()))
        grad_gate_x_hat = gate_residual * (grad_aux * (-2.0 / residual.numel()))
        back = in_dtype(W_dec.t(), dtype)
        grad_W_enc, grad_W_dec = W_enc.new_zeros(W_enc.shape), torch.zeros_like(W_dec)
        grad_gate, grad_mag, grad_gain = (torch.zeros_like(b_gate) for _ in range(3))
        for rows in row_blocks(a):
            pi = a[rows] + b_gate
            z = mask_where_inactive(torch.addcmul(b_mag, a[rows], gain).relu_(), pi)
            grad_m = mask_where_inactive(product(grad_x_hat[rows], back, dtype), z)
            grad_pi = mask_where_inactive(product(grad_gate_x_hat[rows], back, dtype, penalty), pi)
            add_product(grad_W_dec, z.t(), grad_x_hat[rows], dtype)
            grad_gate += grad_pi.sum(0)
            grad_mag += grad_m.sum(0)
            add_product(grad_W_enc, centred[rows].t(), grad_pi.addcmul_(grad_m, gain), dtype)
            grad_gain += grad_m.mul_(a[rows]).sum(0)
        grad_b_dec = grad_x_hat.sum(0)
        if ctx.options.centre:
            grad_b_dec -= torch.mv(W_enc, grad_gate + gain * grad_mag)
        # The gate's reconstruction gives the decoder no gradient; a target that is predicted in part gets both.
        grad_target = -(grad_x_hat + grad_gate_x_hat) if ctx.needs_input_grad[1] else None
        grad_r_mag = gain * grad_gain
        return None, grad_target, grad_r_mag, grad_mag, grad_W_enc, grad_gate, grad_W_dec, grad_b_dec, None, None
