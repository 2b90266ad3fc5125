"""The centre of a cloud of activations: its mean, or its geometric median."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from saetui.errors import InvalidInput


def centre_of(tokens: Tensor, method: Literal["mean", "geometric_median"]) -> Tensor:
    """The mean or geometric median of tokens (n, d): shape (d,), float64.

    Raises:
        InvalidInput: no tokens, or an unknown method.
    """
    if tokens.shape[0] == 0:
        raise InvalidInput("There are no tokens to take the centre of.", "Give at least one batch.")
    if method == "mean":
        return tokens.to(torch.float64).mean(0)
    if method == "geometric_median":
        return geometric_median(tokens)
    raise InvalidInput(f"The centre {method!r} is unknown.", "Choose mean or geometric_median.")


def geometric_median(tokens: Tensor, iterations: int = 100, tolerance: float = 1e-6) -> Tensor:
    """The point with the least sum of distances to tokens (n, d), by Weiszfeld's iteration: shape (d,), float64."""
    points = tokens.to(torch.float64)
    centre = points.mean(0)
    for _ in range(iterations):
        weights = (points - centre).norm(dim=1).clamp_min(1e-12).reciprocal()
        moved = (weights[:, None] * points).sum(0) / weights.sum()
        shift = (moved - centre).norm()
        centre = moved
        if shift <= tolerance * centre.norm().clamp_min(1e-12):
            break
    return centre
