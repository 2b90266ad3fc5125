"""JumpReLU's straight-through gradients (Rajamanoharan et al. 2024, arXiv 2407.14435, section 3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def jump(h: Tensor, threshold: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
    """z = h·1[h > θ] and the step 1[h > θ] itself, entry by entry.

    With the rectangle kernel K(u) = 1[|u| < ½] and u = (h − θ)/ε: ∂z/∂θ = −(θ/ε)·K(u), ∂z/∂h = 1[h > θ],
    ∂step/∂θ = −K(u)/ε, and the step has no gradient to h.

    Args:
        h: pre-activations.
        threshold: θ, of h's shape.
        bandwidth: ε, in units of h.

    Returns:
        z and the step (as numbers), both of h's shape.
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
