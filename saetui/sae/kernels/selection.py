"""Which entries of h a top-k architecture keeps: the k largest of each token, or the largest of the whole batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from saetui.sae.kernels.sparse import Codes, codes_at, fixed_codes, places_above

# A guess at the batch's cut-off is taken from so many of its rows, and made this much too low, so that hardly ever
# fewer entries than wanted exceed it: then all positive ones are looked through, which is slower and gives the same.
_SAMPLED_ROWS = 64
_GENEROSITY = 1.5
# Entries of a block of rows that is partitioned.
_PARTITIONED = 1 << 19


class Selection(Protocol):
    """A rule that turns h (B, F) into z; what it keeps is positive."""

    def codes(self, h: Tensor) -> Codes:
        """z as sparse codes, without a gradient."""

    def dense(self, h: Tensor) -> Tensor:
        """z of shape (B, F), differentiable in h."""


@dataclass(frozen=True)
class LargestOfEach:
    """The k largest of each token, through relu."""

    k: int

    def codes(self, h: Tensor) -> Codes:
        """See the protocol. On an accelerator always k entries a token, so that their number need not be waited for."""
        if h.device.type == "cpu":
            return codes_at(h, _places_of_largest(h, self.k))
        values, indices = h.topk(self.k, dim=1, sorted=False)
        return fixed_codes(values.relu_(), indices)

    def dense(self, h: Tensor) -> Tensor:
        """See the protocol."""
        values, indices = h.topk(self.k, dim=1, sorted=False)
        return torch.zeros_like(h).scatter_(1, indices, values.relu())


@dataclass(frozen=True)
class LargestOfAll:
    """The `count` largest positive entries of a batch; h may be a micro-batch of it, and then `floor` must be given.

    Attributes:
        count: entries to keep, of the whole batch.
        floor: what an entry must exceed, shape (), where that is known already.
    """

    count: int
    floor: Tensor | None = None

    def codes(self, h: Tensor) -> Codes:
        """See the protocol. On an accelerator always `count` entries, so that their number need not be waited for."""
        if h.device.type == "cpu":
            if self.floor is not None:
                return codes_at(h, places_above(h, self.floor))
            places, values = _candidates(h, self.count)
            return codes_at(h, places[values > floor_of(values, self.count)])
        return codes_of_fixed_number(h, self.count, 0.0 if self.floor is None else self.floor)

    def dense(self, h: Tensor) -> Tensor:
        """See the protocol."""
        floor = floor_of(largest_values(h.detach(), self.count), self.count) if self.floor is None else self.floor
        return torch.where(h > floor, h, 0.0)


@dataclass(frozen=True)
class Above:
    """All entries above a floor, shape (): how a batch top-k selects once it has been trained."""

    floor: Tensor

    def codes(self, h: Tensor) -> Codes:
        """See the protocol. Waits for an accelerator: for evaluation."""
        return codes_at(h, places_above(h, self.floor))

    def dense(self, h: Tensor) -> Tensor:
        """See the protocol."""
        return torch.where(h > self.floor, h, 0.0)


def codes_of_fixed_number(h: Tensor, count: int, floor: Tensor | float) -> Codes:
    """The `count` largest entries of h (B, F), those not above the floor as zeros: nothing waits for the device."""
    places = h.reshape(-1).topk(min(count, h.numel()), sorted=False).indices.sort().values
    codes = codes_at(h, places)
    return codes._replace(values=torch.where(codes.values > floor, codes.values, 0.0))


def largest_values(h: Tensor, count: int) -> Tensor:
    """At least the `count` largest positive entries of h (B, F), or all there are, in no order: shape (n,)."""
    if h.device.type == "cpu":
        return _candidates(h, count)[1]
    return h.reshape(-1).topk(min(count, h.numel()), sorted=False).values


def floor_of(values: Tensor, count: int) -> Tensor:
    """What exactly `count` of the values (n,) exceed, equal ones and those not positive apart: shape ()."""
    if values.shape[0] < count or values.shape[0] == 0:
        return values.new_zeros(())
    if values.device.type == "cpu":
        # Ten times as fast as torch's topk or kthvalue, which sort what they find or copy it with its places.
        place = values.shape[0] - count
        smallest = torch.from_numpy(np.partition(values.numpy(), place)[place : place + 1])[0]
    else:
        smallest = values.topk(count, sorted=False).values.min()
    return torch.nextafter(smallest, torch.zeros_like(smallest)).clamp_min(0.0)


def _places_of_largest(h: Tensor, k: int) -> Tensor:
    """Where the k largest positive entries of each row of h (B, F) lie in its memory, ascending: int64, shape (N,)."""
    table = h.detach().numpy()
    tokens, latents = table.shape
    rows = max(1, _PARTITIONED // latents)

    def places(first: int) -> npt.NDArray[np.intp]:
        block = table[first : first + rows]
        # The copy that is partitioned stays in the cache. torch's topk copies each row with its places, and takes 1.2 to 2.2
        # times as long (4096 rows of 2048 to 16,384, k of 32 and 64, two threads).
        smallest = np.partition(block, latents - k, axis=1)[:, latents - k, None]
        small = block < np.maximum(smallest, np.finfo(block.dtype).smallest_subnormal)
        kept: npt.NDArray[np.intp] = np.flatnonzero(np.logical_not(small, out=small))
        counts = np.diff(np.searchsorted(kept, np.arange(len(block) + 1) * latents))
        if counts.max() > k:
            # Some entry equals the k-th largest, or is not a number.
            kept = _exactly(torch.from_numpy(block), k)
        kept += first * latents
        return kept

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        found = pool.map(places, range(0, tokens, rows))
        return torch.from_numpy(np.concatenate([np.empty(0, np.intp), *found]))


def _exactly(block: Tensor, k: int) -> npt.NDArray[np.intp]:
    """The places of no more than k entries of each row, of equal ones those that the dense path takes."""
    values, indices = block.topk(k, dim=1, sorted=False)
    places = indices + torch.arange(block.shape[0])[:, None] * block.shape[1]
    kept: npt.NDArray[np.intp] = np.sort(places[~(values <= 0)].numpy())
    return kept


def _candidates(h: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Places and values of positive entries of h, the `count` largest among them."""
    places = places_above(h, _guess(h, count))
    if places.shape[0] < count:
        places = places_above(h, 0.0)
    return places, h.reshape(-1)[places]


def _guess(h: Tensor, count: int) -> float:
    sample = h[:: max(1, h.shape[0] // _SAMPLED_ROWS)].numpy().reshape(-1)
    wanted = int(_GENEROSITY * count * sample.size / h.numel()) + 1
    if wanted >= sample.size:
        return 0.0
    place = sample.size - wanted
    return max(0.0, float(np.partition(sample, place)[place]))
