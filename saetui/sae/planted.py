"""Planted dictionaries: activations made of known directions, to test whether an SAE finds them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlantedDictionary:
    """Known unit directions, a mean, and how they are mixed.

    Attributes:
        directions: unit rows, shape (n, d).
        offset: the mean of all tokens, shape (d,).
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
        rows = _unit(torch.randn(directions, d, generator=generator))
        offset = torch.randn(d, generator=generator) * 0.2
        trial = PlantedDictionary(rows, offset, active, noise, 1.0).sample(4096, generator)
        return PlantedDictionary(rows, offset, active, noise, float(trial.square().mean().rsqrt()))

    def sample(self, tokens: int, generator: torch.Generator) -> Tensor:
        """Activations in normalised units, shape (tokens, d)."""
        return self.mixed(self.strengths(tokens, generator), generator)

    def strengths(self, tokens: int, generator: torch.Generator) -> Tensor:
        """The strength of each direction in each token, shape (tokens, n): mostly 0."""
        count = self.directions.shape[0]
        present = torch.rand(tokens, count, generator=generator) < self.active / count
        return (1.0 + torch.rand(tokens, count, generator=generator)) * present

    def mixed(self, strengths: Tensor, generator: torch.Generator) -> Tensor:
        """The activations of tokens with these strengths (tokens, n), noise added: shape (tokens, d)."""
        noise = torch.randn(strengths.shape[0], self.directions.shape[1], generator=generator) * self.noise
        return (strengths @ self.directions + self.offset + noise) * self.scale


@dataclass(frozen=True)
class PlantedMap:
    """What a transcoder has to find: directions in the input, and the direction that each of them writes to the target.

    Attributes:
        inputs: the directions in the input.
        targets: the directions that they write, one for each.
        linear: a linear map of the input that the target has besides, shape (d_in, d_out).
    """

    inputs: PlantedDictionary
    targets: PlantedDictionary
    linear: Tensor

    @staticmethod
    def make(
        directions: int, d_in: int, d_out: int, active: float, noise: float, linear: float, generator: torch.Generator
    ) -> PlantedMap:
        """Random directions on both sides, and a random linear map; `linear` is the norm of its part of the target."""
        inputs = PlantedDictionary.make(directions, d_in, active, noise, generator)
        targets = PlantedDictionary.make(directions, d_out, active, noise, generator)
        return PlantedMap(inputs, targets, torch.randn(d_in, d_out, generator=generator) * (linear / d_in**0.5))

    def sample(self, tokens: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Inputs (tokens, d_in) and targets (tokens, d_out), both in normalised units."""
        strengths = self.inputs.strengths(tokens, generator)
        x = self.inputs.mixed(strengths, generator)
        return x, self.targets.mixed(strengths, generator) + x @ self.linear

    def written(self, skip: Tensor | None = None) -> Tensor:
        """What each direction adds to the target beside a linear path (d_in, d_out): unit rows, (n, d_out).

        The linear part may be in the path or in the latents: only their sum is determined.
        """
        remaining = self.linear if skip is None else self.linear - skip
        rows = self.targets.directions * self.targets.scale
        return _unit(rows + (self.inputs.directions * self.inputs.scale) @ remaining)


def recovered(W_dec: Tensor, directions: Tensor, cosine: float = 0.9) -> float:
    """The share of directions (n, d) that some row of W_dec (F, d) matches at that cosine or better."""
    rows = _unit(W_dec.detach().to("cpu", torch.float32))
    best = (directions @ rows.t()).amax(dim=1)
    return float((best >= cosine).to(torch.float32).mean())


def _unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=1)
