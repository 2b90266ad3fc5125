"""A planted dictionary: activations that are sparse sums of known directions, to see whether an SAE finds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlantedDictionary:
    """Known unit directions, a mean, and how they are mixed.

    Attributes:
        directions: unit rows, shape (n, d).
        offset: what every token has in common, shape (d,).
        active: directions in a token, on average.
        noise: standard deviation of the noise on each coordinate.
        scale: factor that makes the mean square of a coordinate about 1.
    """

    directions: Tensor
    offset: Tensor
    active: float
    noise: float
    scale: float

    @staticmethod
    def make(directions: int, d: int, active: float, noise: float, generator: torch.Generator) -> PlantedDictionary:
        """Random directions in d dimensions; strengths are 1 to 2, each direction as likely as the others."""
        rows = torch.randn(directions, d, generator=generator)
        rows = rows / rows.norm(dim=1, keepdim=True)
        offset = torch.randn(d, generator=generator) * 0.2
        trial = PlantedDictionary(rows, offset, active, noise, 1.0).sample(4096, generator)
        return PlantedDictionary(rows, offset, active, noise, float(trial.square().mean().rsqrt()))

    def sample(self, tokens: int, generator: torch.Generator) -> Tensor:
        """Activations in normalised units, shape (tokens, d)."""
        count, d = self.directions.shape
        present = torch.rand(tokens, count, generator=generator) < self.active / count
        strengths = 1.0 + torch.rand(tokens, count, generator=generator)
        noise = torch.randn(tokens, d, generator=generator) * self.noise
        return ((strengths * present) @ self.directions + self.offset + noise) * self.scale


def recovered(W_dec: Tensor, directions: Tensor, cosine: float = 0.9) -> float:
    """The share of directions (n, d) that some row of W_dec (F, d) matches at that cosine or better."""
    rows = W_dec.detach().to("cpu", torch.float32)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    best = (directions @ rows.t()).amax(dim=1)
    return float((best >= cosine).to(torch.float32).mean())
