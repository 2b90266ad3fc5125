"""gated's dense path: one encoder product, and both gradients brought together on it, a few rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from saetui.sae.kernels.dense import add_product, count_above, in_dtype, mask_where_inactive, product, row_blocks
from saetui.sae.kernels.gated_sparse import GatedOutcome

if TYPE_CHECKING:
    from saetui.sae.gated import GatedSAE


def dense_outcome(sae: GatedSAE, x: Tensor, target: Tensor) -> GatedOutcome:
    """Both errors and the penalty of one batch: x (B, d_in), target (B, d_out)."""
    arguments = (sae.encoder_weight, sae.b_gate, sae.r_mag, sae.b_mag, sae.W_dec, sae.b_dec, sae.decoder_norms())
    return GatedOutcome(*_DenseGated.apply(sae, x, target, *arguments))  # type: ignore[no-untyped-call]  # torch's apply


class _DenseGated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sae: GatedSAE,
        x: Tensor,
        target: Tensor,
        W_enc: Tensor,
        b_gate: Tensor,
        r_mag: Tensor,
        b_mag: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        norms: Tensor | None,
    ) -> tuple[Tensor, ...]:
        dtype = sae.compute_dtype
        centred = x - b_dec if sae.centres_input else x
        a = product(centred, W_enc, dtype)
        forth = in_dtype(W_dec, dtype)
        gain = r_mag.exp()
        residual, gate_residual = torch.empty_like(target), torch.empty_like(target)
        sums = torch.zeros_like(b_gate)
        fired = torch.zeros(sae.latents, dtype=torch.int64, device=a.device)
        active = torch.zeros((), dtype=torch.int64, device=a.device)
        for rows in row_blocks(a):
            pi = (a[rows] + b_gate).relu_()
            z = mask_where_inactive(torch.addcmul(b_mag, a[rows], gain).relu_(), pi)
            torch.sub(target[rows], product(z, forth, dtype, b_dec), out=residual[rows])
            torch.sub(target[rows], product(pi, forth, dtype, b_dec), out=gate_residual[rows])
            sums += pi.sum(0)
            fired += (counts := count_above(z, sae.firing_threshold))
            active += (counts if sae.firing_threshold == 0.0 else count_above(z, 0.0)).sum()
        l1 = (sums.sum() if norms is None else sums.dot(norms)) / x.shape[0]
        ctx.save_for_backward(centred, a, residual, gate_residual, W_enc, b_gate, gain, b_mag, W_dec, norms)
        ctx.sae = sae
        ctx.mark_non_differentiable(residual, fired, active)
        return residual.square().mean(), l1, gate_residual.square().mean(), residual, fired, active

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_recon, grad_l1, grad_aux = gradients[:3]
        centred, a, residual, gate_residual, W_enc, b_gate, gain, b_mag, W_dec, norms = ctx.saved_tensors
        dtype = ctx.sae.compute_dtype
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
        if ctx.sae.centres_input:
            grad_b_dec -= torch.mv(W_enc, grad_gate + gain * grad_mag)
        # No gradient of the gate's reconstruction reaches the decoder; a target that is predicted in part gets both.
        grad_target = -(grad_x_hat + grad_gate_x_hat) if ctx.needs_input_grad[2] else None
        return (
            None,
            None,
            grad_target,
            grad_W_enc,
            grad_gate,
            gain * grad_gain,
            grad_mag,
            grad_W_dec,
            grad_b_dec,
            None,
        )
