"""Synthetic activations that resemble a model's: features of very unequal frequency, correlated, and in a hierarchy.

After SynthSAEBench (arXiv 2602.14687), smaller: how often features fire follows Zipf's law, which of them fire together a Gaussian
copula of low rank, and rare features fire only where their parents do. On features that are equally likely and independent
(planted.py) almost any setting does well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_FREQUENT = 0.4
"""The share of the tokens that the most frequent features are in."""
CHILDREN = 0.25
"""The share of the features that have a parent: every fourth, from the rare half. Their parents are among the first eighth."""
SHARED = 0.5
"""The share of a feature's variable in the copula that is common to several features."""
RANK = 16
"""Of the common part."""
STRENGTH, STRENGTH_DEVIATION = 1.0, 0.5
"""A feature that fires has the strength 1 + |0.5·normal|."""


@dataclass(frozen=True)
class SyntheticFeatures:
    """How often each of n features fires, and with which others.

    Attributes:
        probabilities: the share of the tokens that has each, falling, shape (n,).
        parents: the feature without which each does not fire, or −1; int64, shape (n,).
        thresholds: its variable in the copula must exceed this, shape (n,).
        loadings: of that variable on the common part, shape (n, r); the variable has variance 1.
    """

    probabilities: Tensor
    parents: Tensor
    thresholds: Tensor
    loadings: Tensor

    @staticmethod
    def make(count: int, active: float, generator: torch.Generator) -> SyntheticFeatures:
        """`count` features, of which `active` are in a token on average."""
        probabilities = _zipf(count, active)
        parents = torch.full((count,), -1, dtype=torch.int64)
        rare = torch.arange(count // 2, count)
        children = rare[torch.randperm(len(rare), generator=generator)[: int(CHILDREN * count)]]
        parents[children] = torch.randint(0, max(1, count // 8), (len(children),), generator=generator)
        given = torch.where(parents < 0, probabilities, probabilities / probabilities[parents])
        thresholds = -torch.special.ndtri(given.double()).float()
        common = torch.randn(count, RANK, generator=generator)
        loadings = SHARED**0.5 * torch.nn.functional.normalize(common, dim=1)
        return SyntheticFeatures(probabilities, parents, thresholds, loadings)

    def strengths(self, tokens: int, generator: torch.Generator) -> Tensor:
        """The strength of each feature in each token, mostly 0: shape (tokens, n)."""
        count = len(self.probabilities)
        variable = torch.randn(tokens, RANK, generator=generator) @ self.loadings.t()
        variable += (1.0 - SHARED) ** 0.5 * torch.randn(tokens, count, generator=generator)
        present = variable > self.thresholds
        has_parent = self.parents >= 0
        present[:, has_parent] &= present[:, self.parents[has_parent]]
        strength = torch.randn(tokens, count, generator=generator).mul_(STRENGTH_DEVIATION).abs_().add_(STRENGTH)
        return strength.mul_(present)


@dataclass(frozen=True)
class SyntheticSpace:
    """Activations of features: each is a direction; noise and an offset, the same for all tokens, are added.

    Attributes:
        directions: unit rows, shape (n, d).
        offset: shape (d,).
        noise: standard deviation of the noise on each coordinate.
    """

    directions: Tensor
    offset: Tensor
    noise: float

    @staticmethod
    def make(
        count: int, d: int, generator: torch.Generator, *, offset: float = 0.5, noise: float = 0.05
    ) -> SyntheticSpace:
        """Random directions of `count` features in d dimensions; `offset` is the size of the offset in each coordinate."""
        rows = torch.nn.functional.normalize(torch.randn(count, d, generator=generator), dim=1)
        return SyntheticSpace(rows, offset * torch.randn(d, generator=generator), noise)

    def activations(self, strengths: Tensor, generator: torch.Generator) -> Tensor:
        """The activations of tokens with these strengths (tokens, n): shape (tokens, d)."""
        rows = strengths @ self.directions
        return rows.add_(self.offset).add_(torch.randn(rows.shape, generator=generator), alpha=self.noise)


def matched(W_dec: Tensor, directions: Tensor) -> Tensor:
    """The cosine of each direction (n, d) with its own row of W_dec (F, d): shape (n,), 0 where none is left for it.

    The pair of the largest cosine is matched first, then that of the largest among the others, and so on. The mean is the mean
    correlation coefficient (MCC) of the literature, but for pairs that an optimal assignment would trade.
    """
    rows = torch.nn.functional.normalize(W_dec.detach().to("cpu", torch.float32), dim=1)
    cosines = directions @ rows.t()
    count, latents = cosines.shape
    found = torch.zeros(count)
    for _ in range(min(count, latents)):
        best, index = cosines.flatten().max(0)
        feature, latent = divmod(int(index), latents)
        found[feature] = best
        cosines[feature], cosines[:, latent] = -2.0, -2.0
    return found


def _zipf(count: int, active: float) -> Tensor:
    """min(0.4, c/rank), with the c for which the sum is `active`."""
    ranks = torch.arange(1, count + 1, dtype=torch.float64)
    low, high = 0.0, MOST_FREQUENT * count
    for _ in range(60):
        middle = (low + high) / 2
        if float((middle / ranks).clamp(max=MOST_FREQUENT).sum()) < active:
            low = middle
        else:
            high = middle
    return (high / ranks).clamp(max=MOST_FREQUENT).float()
