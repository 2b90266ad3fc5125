"""Products with codes of which few entries are not zero: their cost goes with L0, not with the number of latents.

Measured on two cores (d 256, 2048 latents, 4096 tokens, 32 active): `embedding_bag` beats a CSR product by two to
three times, forward and transposed; `sampled_addmm` takes a fraction of the dense product it replaces; and numpy's radix
sort of 16-bit keys makes the transposition, for which torch's comparison sort takes fifteen times as long.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

with warnings.catch_warnings():
    # Once in a process torch calls its CSR tensors a beta feature: here, where nobody need read it.
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1), check_invariants=False)

# A sparse product reaches about an eighth of a dense one's speed for each entry that it does compute (2 and 16 cores).
SPARSE_ADVANTAGE = 8


def sparse_is_faster(active: float, width: int) -> bool:
    """Whether products with `active` non-zero entries of `width` in a row should take the sparse path."""
    return active * SPARSE_ADVANTAGE < width


class Codes(NamedTuple):
    """Sparse activations with the same number of entries in each row, unordered.

    Attributes:
        values: z ≥ 0 of the chosen latents, shape (B, k).
        indices: which latents, int64, no one twice in a row, shape (B, k).
    """

    values: Tensor
    indices: Tensor


class ByLatent(NamedTuple):
    """The same entries, latent by latent: what the weights' gradients sum over.

    Attributes:
        order: entry numbers (row·k + place) sorted by latent, int64, shape (B·k,).
        rows: the token of each entry in that order, int64, shape (B·k,).
        starts: where each latent's entries begin, int64, shape (F,).
    """

    order: Tensor
    rows: Tensor
    starts: Tensor


def decode(codes: Codes, weight: Tensor) -> Tensor:
    """Z·weight for weight (F, d): shape (B, d)."""
    return functional.embedding_bag(codes.indices, weight, per_sample_weights=codes.values, mode="sum")


def gradient_of_values(gradient: Tensor, weight: Tensor, codes: Codes) -> Tensor:
    """(gradient·weightᵀ) at the entries of the codes, zero where an entry is not active.

    Args:
        gradient: of the decoded rows, shape (B, d).
        weight: shape (F, d).
        codes: the entries, shape (B, k).

    Returns:
        Shape (B, k).
    """
    tokens, k = codes.indices.shape
    starts = torch.arange(0, tokens * k + 1, k, device=gradient.device)
    zeros = torch.zeros(tokens * k, dtype=gradient.dtype, device=gradient.device)
    # sampled_addmm wants no order within a row, only that each row's entries lie together.
    entries = torch.sparse_csr_tensor(
        starts, codes.indices.reshape(-1), zeros, (tokens, weight.shape[0]), check_invariants=False
    )
    sampled: Tensor = torch.sparse.sampled_addmm(entries, gradient, weight.t(), beta=0.0).values()
    return sampled.view_as(codes.values).mul_(codes.values > 0)


def by_latent(codes: Codes, latents: int) -> ByLatent:
    """Transposes the codes' pattern."""
    columns = codes.indices.reshape(-1)
    order = _stable_order(columns, latents)
    counts = torch.zeros(latents, dtype=torch.int64, device=columns.device)
    counts.scatter_add_(0, columns, torch.ones_like(columns))
    starts = counts.cumsum(0) - counts
    rows = torch.div(order, codes.indices.shape[1], rounding_mode="floor")
    return ByLatent(order, rows, starts)


def weight_gradient(values: Tensor, entries: ByLatent, rows: Tensor) -> Tensor:
    """Zᵀ·rows, where Z has the given values at the entries.

    Args:
        values: shape (B, k).
        entries: the pattern, latent by latent.
        rows: what each token contributes, shape (B, d).

    Returns:
        Shape (F, d).
    """
    weights = values.reshape(-1)[entries.order]
    return functional.embedding_bag(entries.rows, rows, entries.starts, per_sample_weights=weights, mode="sum")


def sums_by_latent(values: Tensor, indices: Tensor, latents: int) -> Tensor:
    """The sum of the entries' values for each latent, shape (F,)."""
    sums = torch.zeros(latents, dtype=values.dtype, device=values.device)
    return sums.scatter_add_(0, indices.reshape(-1), values.reshape(-1))


def _stable_order(keys: Tensor, limit: int) -> Tensor:
    if keys.device.type != "cpu":
        return torch.argsort(keys, stable=True)
    if limit <= 1 << 16:
        return torch.from_numpy(np.argsort(keys.numpy().astype(np.uint16), kind="stable"))
    # Two passes of the radix sort, low half first.
    wide = keys.numpy()
    order = np.argsort((wide & 0xFFFF).astype(np.uint16), kind="stable")
    high = (wide >> 16).astype(np.uint16)[order]
    return torch.from_numpy(order[np.argsort(high, kind="stable")])
