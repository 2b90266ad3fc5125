"""Normalised units: what an SAE sees in place of raw activations, and how its scale is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from saetui.errors import InvalidInput

Kind = Literal["none", "constant_norm", "layer_norm"]

# As SAELens has it: exports rely on the same formula, to the last constant.
_LAYER_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Normalization:
    """How raw activations become normalised ones, and predictions raw again.

    Attributes:
        kind: `none`; `constant_norm`: x·scale, one number for the site, so that the mean square of a coordinate is 1;
            `layer_norm`: each token less its mean, divided by its (unbiased) standard deviation.
        scale: s of constant_norm; 1 otherwise.
    """

    kind: Kind = "none"
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what cannot be undone.

        Raises:
            InvalidInput: an unknown kind, or a scale that is not a positive number, or not 1 where none is used.
        """
        if self.kind not in ("none", "constant_norm", "layer_norm"):
            raise InvalidInput(
                f"The normalisation {self.kind!r} is unknown.", "Choose none, constant_norm or layer_norm."
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InvalidInput(f"The activation scale is {self.scale}.", "It must be a positive number.")
        if self.kind != "constant_norm" and self.scale != 1.0:
            raise InvalidInput(f"{self.kind} takes no scale, got {self.scale}.", "Only constant_norm has one.")

    @property
    def description(self) -> dict[str, str | float]:
        """Kind and scale, as JSON; `Normalization(**description)` is the same again."""
        return {"kind": self.kind, "scale": self.scale}

    def normalise(self, raw: Tensor) -> Tensor:
        """Normalised activations, float32, for raw ones of shape (B, d)."""
        x = raw.to(torch.float32)
        if self.kind == "constant_norm":
            return x * self.scale
        if self.kind == "layer_norm":
            mean, deviation = _token_moments(x)
            return (x - mean) / deviation
        return x

    def restore(self, x_hat: Tensor, raw: Tensor) -> Tensor:
        """Raw units again, in raw's dtype.

        Args:
            x_hat: a prediction in normalised units, shape (B, d).
            raw: the activations that were normalised, whose mean and deviation layer_norm took away, shape (B, d).
        """
        if self.kind == "constant_norm":
            return (x_hat / self.scale).to(raw.dtype)
        if self.kind == "layer_norm":
            mean, deviation = _token_moments(raw.to(torch.float32))
            return (x_hat * deviation + mean).to(raw.dtype)
        return x_hat.to(raw.dtype)


_MOST_BLOCKS = 512
"""Activations whose norms differ so wildly that their mean is not known by then are scaled by what it seems to be."""


class ScaleEstimator:
    """Measures s with E‖s·x‖² = d on a stream of activations, until it is known well enough.

    Tokens of one context are alike, so the error is estimated from the spread between blocks as well as
    between tokens, and the larger of the two counts.
    """

    def __init__(self, d: int, tolerance: float = 0.01, minimum_blocks: int = 8) -> None:
        """For activations of width d, to a relative error of `tolerance` (two standard errors) from at least `minimum_blocks` blocks."""
        self._d = d
        self._tolerance = tolerance
        self._minimum_blocks = minimum_blocks
        self._tokens: list[int] = []
        self._sums: list[Tensor] = []
        self._squares: list[Tensor] = []

    @property
    def tokens(self) -> int:
        """Tokens seen so far."""
        return sum(self._tokens)

    @property
    def relative_error(self) -> float:
        """Two standard errors of s, relative to s; infinite while there are fewer than two blocks. Waits for the device."""
        if len(self._tokens) < 2:
            return math.inf
        n = self.tokens
        sums = torch.stack(self._sums).to("cpu", torch.float64)
        sizes = torch.tensor(self._tokens, dtype=torch.float64)
        mean = float(sums.sum()) / n
        if not (math.isfinite(mean) and mean > 0):
            return math.inf
        squares = float(torch.stack(self._squares).to("cpu", torch.float64).sum())
        between_tokens = max(squares / n - mean * mean, 0.0) / n
        blocks = len(self._tokens)
        between_blocks = float((sums - sizes * mean).square().sum()) * blocks / (blocks - 1) / (n * n)
        # s goes with the mean to the power −½: half the relative error.
        return math.sqrt(max(between_tokens, between_blocks)) / mean

    @property
    def settled(self) -> bool:
        """Whether more blocks would tell nothing: the error is within the tolerance, there have been very many already, or
        there is no scale at all, which `result` says. Waits for the device."""
        blocks = len(self._tokens)
        if blocks < self._minimum_blocks:
            return False
        return blocks >= _MOST_BLOCKS or not self._has_scale or self.relative_error <= self._tolerance

    @property
    def _mean(self) -> float:
        return float(torch.stack(self._sums).sum()) / self.tokens

    @property
    def _has_scale(self) -> bool:
        return math.isfinite(self._mean) and self._mean > 0

    def add(self, raw: Tensor) -> None:
        """Takes in a block of raw activations, shape (n, d), n ≥ 1."""
        squared_norms = raw.detach().to(torch.float32).square().sum(1).to(torch.float64)
        self._tokens.append(raw.shape[0])
        self._sums.append(squared_norms.sum())
        self._squares.append(squared_norms.square().sum())

    def result(self) -> Normalization:
        """constant_norm with the scale as it is known now.

        Raises:
            InvalidInput: nothing was seen, or the activations are all 0 or not finite.
        """
        if self.tokens == 0:
            raise InvalidInput("The activation scale cannot be measured on no tokens.", "Give at least one batch.")
        mean = self._mean
        if not self._has_scale:
            raise InvalidInput(
                f"The activations' mean squared norm is {mean}: they cannot be scaled.",
                "Check the model's dtype (float16 overflows) and the hook point.",
            )
        return Normalization("constant_norm", math.sqrt(self._d / mean))


def _token_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(dim=-1, keepdim=True)
    return mean, x.std(dim=-1, keepdim=True) + _LAYER_NORM_EPSILON
