"""Products with codes of which few entries are not zero: their cost goes with L0, not with the number of latents.

Measured on two cores (d 256, 2048 latents, 4096 tokens, 32 active): `embedding_bag` beats a CSR product by two to
three times, forward and transposed; `sampled_addmm` takes a fraction of the dense product it replaces; and numpy's radix
sort of 16-bit keys makes the transposition, for which torch's comparison sort takes fifteen times as long.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from saetui.formats.step_sizes import SPARSE_ADVANTAGE

with warnings.catch_warnings():
    # Once in a process torch calls its CSR tensors a beta feature: here, where nobody need read it.
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], torch.empty(0, dtype=torch.int64), torch.empty(0), (1, 1), check_invariants=False)

# Dimensions whose gradient is made at a time where it must be transposed.
_COLUMNS = 512
# Of each operand, where entries' rows are multiplied one by one.
_GATHERED_BYTES = 1 << 24
# Rows compared at a time: their mask stays in the cache.
_ROWS = 256


def sparse_is_faster(active: float, width: int) -> bool:
    """Whether products with `active` non-zero entries of `width` in a row should take the sparse path."""
    return active * SPARSE_ADVANTAGE < width


class Codes(NamedTuple):
    """Sparse activations row by row (a CSR matrix), unordered within a row; rows may hold different numbers.

    Attributes:
        values: z ≥ 0 of the chosen latents, shape (N,).
        indices: which latents, int64, no one twice in a row, shape (N,).
        rows: the row of each entry, ascending, int64, shape (N,).
        starts: where each row's entries begin, and N at the end, int64, shape (rows + 1,).
    """

    values: Tensor
    indices: Tensor
    rows: Tensor
    starts: Tensor


class ByLatent(NamedTuple):
    """The same entries, latent by latent: what the weights' gradients sum over.

    Attributes:
        order: entry numbers sorted by latent, int64, shape (N,).
        rows: the row of each entry in that order, int64, shape (N,).
        starts: where each latent's entries begin, int64, shape (F,).
    """

    order: Tensor
    rows: Tensor
    starts: Tensor


def fixed_codes(values: Tensor, indices: Tensor) -> Codes:
    """The same number of entries in each row: values and indices of shape (B, k)."""
    tokens, k = indices.shape
    places = torch.arange(tokens * k + 1, device=indices.device)
    rows = torch.div(places[:-1], k, rounding_mode="floor")
    return Codes(values.reshape(-1), indices.reshape(-1), rows, places[::k].contiguous())


def codes_at(h: Tensor, places: Tensor) -> Codes:
    """The entries of h (B, F) at ascending places in its memory (row·F + latent), int64, shape (N,)."""
    tokens, latents = h.shape
    # Division is the dear way to a row's number: forty times a search for where each row begins.
    starts = torch.searchsorted(places, torch.arange(tokens + 1, device=h.device) * latents)
    rows = torch.repeat_interleave(starts.diff(), output_size=places.shape[0])
    return Codes(h.reshape(-1)[places], places - rows * latents, rows, starts)


def places_above(h: Tensor, floor: Tensor | float) -> Tensor:
    """Where h (B, F), contiguous, exceeds the floor (a number, or one for each latent), ascending: int64, shape (N,).

    How many there are decides the result's shape, so that on an accelerator this waits for the device.
    """
    if h.device.type != "cpu":
        return (h > floor).reshape(-1).nonzero().reshape(-1)
    limit = floor.detach().numpy() if isinstance(floor, Tensor) else floor
    table = h.detach().numpy()
    found = [
        # numpy skips what is false by the word: six times as fast as torch's nonzero.
        np.flatnonzero(table[first : first + _ROWS] > limit) + first * h.shape[1]
        for first in range(0, h.shape[0], _ROWS)
    ]
    return torch.from_numpy(np.concatenate(found))


def codes_above(h: Tensor, floor: Tensor | float) -> Codes:
    """The entries of h (B, F) above the floor; see `places_above`."""
    return codes_at(h, places_above(h, floor))


def by_prefix(codes: Codes, widths: Sequence[int]) -> Codes:
    """The codes with a row for each prefix and token (prefix·B + token), which holds what the prefix before has not.

    Args:
        codes: of B rows.
        widths: where the m prefixes end, ascending; the last is F.

    Returns:
        Codes of m·B rows.
    """
    tokens = codes.starts.shape[0] - 1
    ends = _on_device(tuple(widths), codes.indices.device)
    prefix = torch.searchsorted(ends, codes.indices, right=True)
    order = stable_order(prefix, len(widths))
    rows = (prefix * tokens + codes.rows)[order]
    starts = torch.searchsorted(rows, torch.arange(len(widths) * tokens + 1, device=rows.device))
    return Codes(codes.values[order], codes.indices[order], rows, starts)


def decode(codes: Codes, weight: Tensor) -> Tensor:
    """Z·weight for weight (F, d): shape (rows, d)."""
    return functional.embedding_bag(
        codes.indices, weight, codes.starts[:-1], per_sample_weights=codes.values, mode="sum"
    )


def gradient_of_values(gradient: Tensor, weight: Tensor, codes: Codes) -> Tensor:
    """(gradient·weightᵀ) at the entries of the codes, zero where an entry is not active. As `sampled_product`."""
    return sampled_product(gradient, weight, codes).mul_(codes.values > 0)


def sampled_product(gradient: Tensor, weight: Tensor, codes: Codes) -> Tensor:
    """(gradient·weightᵀ) at the entries of the codes, whatever their values.

    Args:
        gradient: of the decoded rows, shape (rows, d).
        weight: shape (F, d).
        codes: the N entries.

    Returns:
        Shape (N,).
    """
    return (_sampled if _has_sampled(gradient.device) else _gathered)(gradient, weight, codes)


def _sampled(gradient: Tensor, weight: Tensor, codes: Codes) -> Tensor:
    # sampled_addmm wants no order within a row, only that each row's entries lie together.
    entries = torch.sparse_csr_tensor(
        codes.starts,
        codes.indices,
        torch.zeros_like(codes.values),
        (codes.starts.shape[0] - 1, weight.shape[0]),
        check_invariants=False,
    )
    sampled: Tensor = torch.sparse.sampled_addmm(entries, gradient, weight.t(), beta=0.0).values()
    return sampled


def _gathered(gradient: Tensor, weight: Tensor, codes: Codes) -> Tensor:
    """The same by multiplying the rows that belong to each entry, some entries at a time."""
    count = max(1, _GATHERED_BYTES // (weight.shape[1] * weight.itemsize))
    places = zip(torch.split(codes.rows, count), torch.split(codes.indices, count), strict=True)
    return torch.cat([gradient[rows].mul_(weight[indices]).sum(1) for rows, indices in places])


@lru_cache
def _has_sampled(device: torch.device) -> bool:
    """Whether torch's product by entries is there on a device, and right: on GPUs it rests on a library that not every
    build of torch has. Waits for the device, once."""
    generator = torch.Generator().manual_seed(0)
    gradient, weight = (torch.randn(rows, 8, generator=generator).to(device) for rows in (6, 40))
    order = torch.stack([torch.randperm(40, generator=generator)[:5] for _ in range(6)])
    codes = fixed_codes(torch.ones(6, 5, device=device), order.to(device))
    try:
        return torch.allclose(_sampled(gradient, weight, codes), _gathered(gradient, weight, codes), atol=1e-5)
    except RuntimeError:
        return False


def by_latent(codes: Codes, latents: int) -> ByLatent:
    """Transposes the codes' pattern."""
    order = stable_order(codes.indices, latents)
    counts = torch.zeros(latents, dtype=torch.int64, device=codes.indices.device)
    counts.scatter_add_(0, codes.indices, torch.ones_like(codes.indices))
    starts = counts.cumsum(0) - counts
    return ByLatent(order, codes.rows[order], starts)


def weight_gradient(values: Tensor, entries: ByLatent, rows: Tensor) -> Tensor:
    """Zᵀ·rows, where Z has the given values at the entries.

    Args:
        values: shape (N,).
        entries: the pattern, latent by latent.
        rows: what each row contributes, shape (rows, d).

    Returns:
        Shape (F, d).
    """
    weights = values[entries.order]
    return functional.embedding_bag(entries.rows, rows, entries.starts, per_sample_weights=weights, mode="sum")


def transposed_gradient(values: Tensor, entries: ByLatent, rows: Tensor) -> Tensor:
    """rowsᵀ·Z: `weight_gradient` as an encoder's weights lie, and never twice in memory: shape (d, F)."""
    weights = values[entries.order]
    gradient = rows.new_empty(rows.shape[1], entries.starts.shape[0])
    for into, some in zip(torch.split(gradient, _COLUMNS), torch.split(rows, _COLUMNS, dim=1), strict=True):
        part = functional.embedding_bag(
            entries.rows, some.contiguous(), entries.starts, per_sample_weights=weights, mode="sum"
        )
        into.copy_(part.t())
    return gradient


def sums_by_latent(values: Tensor, indices: Tensor, latents: int) -> Tensor:
    """The sum of the entries' values for each latent, shape (F,)."""
    sums = torch.zeros(latents, dtype=values.dtype, device=values.device)
    return sums.scatter_add_(0, indices, values)


@lru_cache(maxsize=16)
def _on_device(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Kept, because bringing numbers to an accelerator waits for it."""
    return torch.tensor(numbers, device=device)


def stable_order(keys: Tensor, limit: int) -> Tensor:
    """What sorts keys (N,) of 0 to limit − 1, equal ones left as they lie: int64, shape (N,)."""
    if keys.device.type != "cpu":
        return torch.argsort(keys, stable=True)
    if limit <= 1 << 16:
        return torch.from_numpy(np.argsort(keys.numpy().astype(np.uint16), kind="stable"))
    # Two passes of the radix sort, low half first.
    wide = keys.numpy()
    order = np.argsort((wide & 0xFFFF).astype(np.uint16), kind="stable")
    high = (wide >> 16).astype(np.uint16)[order]
    return torch.from_numpy(order[np.argsort(high, kind="stable")])
