"""Dense products without the sixth: an SAE's activations need no gradient, so none is computed for them.

Autograd would multiply ∂h by W_encᵀ, a whole d×F×B product, only to sum the result over tokens into b_dec's
gradient. That sum is W_enc·Σ∂h = W_enc·∂b_enc: a product of a matrix and a vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from saetui.formats.step_sizes import BLOCK_ENTRIES, BLOCK_ROWS

# Rows handled at a time where a comparison would otherwise allocate a (B, F) mask: small enough for the cache.
_ROWS = 256


def row_blocks(rows: Tensor, width: int | None = None) -> Iterator[slice]:
    """Slices of a tensor's rows, so that what is made of them on the way, as wide as they are or `width`, stays small."""
    size = BLOCK_ROWS if rows.device.type == "cpu" else max(1, BLOCK_ENTRIES // (width or rows.shape[1]))
    for start in range(0, rows.shape[0], size):
        yield slice(start, start + size)


def product(a: Tensor, b: Tensor, dtype: torch.dtype | None, bias: Tensor | None = None) -> Tensor:
    """a·b (+ bias), computed in `dtype` where one is given, and returned in a's own.

    Args:
        a: shape (m, k).
        b: shape (k, n).
        dtype: of the operands in the product (bfloat16 on hardware that has it), or None for a's own.
        bias: shape (n,), added in a's own precision.
    """
    if dtype is None or dtype == a.dtype:
        return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)
    result = torch.mm(a.to(dtype), b.to(dtype)).to(a.dtype)
    return result if bias is None else result.add_(bias)


def add_product(total: Tensor, a: Tensor, b: Tensor, dtype: torch.dtype | None) -> None:
    """total += a·b, the product as in `product`."""
    if dtype is None or dtype == a.dtype:
        total.addmm_(a, b)
    else:
        total += product(a, b, dtype)


def in_dtype(weight: Tensor, dtype: torch.dtype | None) -> Tensor:
    """The weight as `product` will want it: converted once, where it is used block by block."""
    return weight if dtype is None else weight.to(dtype)


def count_above(z: Tensor, threshold: float) -> Tensor:
    """On how many rows each column of z (B, F) exceeds the threshold: int64, shape (F,)."""
    if z.device.type != "cpu":
        return (z > threshold).sum(0)
    counts = torch.zeros(z.shape[1], dtype=z.dtype)
    ones = torch.ones(min(_ROWS, z.shape[0]), dtype=z.dtype)
    # Comparing into floats and summing by a product is four times as fast as going by way of booleans.
    above = torch.empty(ones.shape[0], z.shape[1], dtype=z.dtype)
    for rows in torch.split(z, _ROWS):
        count = rows.shape[0]
        counts.addmv_(torch.gt(rows, threshold, out=above[:count]).t(), ones[:count])
    return counts.to(torch.int64)


def mask_where_inactive(gradient: Tensor, z: Tensor) -> Tensor:
    """Zeroes the gradient (B, F), in place, where z is not positive: relu's derivative."""
    # What relu's own backward calls, with the result in place: no second (B, F).
    torch.ops.aten.threshold_backward.grad_input(gradient, z, 0.0, grad_input=gradient)
    return gradient


def pre_activations(x: Tensor, W_enc: Tensor, b_enc: Tensor, b_in: Tensor | None, dtype: torch.dtype | None) -> Tensor:
    """h = (x − b_in)·W_enc + b_enc, with gradients for the weights and biases and none for x: shape (B, F).

    Args:
        x: shape (B, d_in).
        W_enc: shape (d_in, F).
        b_enc: shape (F,).
        b_in: what is subtracted from x, shape (d_in,), or None.
        dtype: of the products, or None for that of the tensors.
    """
    h: Tensor = _PreActivations.apply(x, W_enc, b_enc, b_in, dtype)  # type: ignore[no-untyped-call]  # torch's apply
    return h


class _PreActivations(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, W_enc: Tensor, b_enc: Tensor, b_in: Tensor | None, dtype: torch.dtype | None
    ) -> Tensor:
        centred = x if b_in is None else x - b_in
        ctx.save_for_backward(centred, W_enc)
        ctx.centred, ctx.dtype = b_in is not None, dtype
        return product(centred, W_enc, dtype, b_enc)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (grad_h,) = gradients
        centred, W_enc = ctx.saved_tensors
        grad_b_enc = grad_h.sum(0)
        grad_W_enc = product(centred.t(), grad_h, ctx.dtype)
        grad_b_in = -torch.mv(W_enc, grad_b_enc) if ctx.centred else None
        return None, grad_W_enc, grad_b_enc, grad_b_in, None
