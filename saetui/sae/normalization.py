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
        norm_limit: the norm, in raw units, beyond which a token is a sink: it is neither trained on nor judged. None: no
            token is one.
    """

    kind: Kind = "none"
    scale: float = 1.0
    norm_limit: float | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be undone.

        Raises:
            InvalidInput: an unknown kind, or a scale that is not a positive number, or not 1 where none is used, or a limit
                that is not a positive number.
        """
        if self.kind not in ("none", "constant_norm", "layer_norm"):
            raise InvalidInput(
                f"The normalisation {self.kind!r} is unknown.", "Choose none, constant_norm or layer_norm."
            )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InvalidInput(f"The activation scale is {self.scale}.", "It must be a positive number.")
        if self.kind != "constant_norm" and self.scale != 1.0:
            raise InvalidInput(f"{self.kind} takes no scale, got {self.scale}.", "Only constant_norm has one.")
        if self.norm_limit is not None and not (math.isfinite(self.norm_limit) and self.norm_limit > 0):
            raise InvalidInput(f"The limit of the norm is {self.norm_limit}.", "It must be a positive number, or none.")

    @property
    def description(self) -> dict[str, str | float]:
        """Kind, scale and, where there is one, the limit, as JSON; `Normalization(**description)` is the same again."""
        limit = {} if self.norm_limit is None else {"norm_limit": self.norm_limit}
        return {"kind": self.kind, "scale": self.scale, **limit}

    def before(self, factor: float) -> Normalization:
        """The same units for the tensor that becomes the activation when it is multiplied by `factor` (> 0).

        A layer of Granite's multiplies an output before it adds it to the stream; a result reads the output itself, as every
        other tool does. The limit stays that of the activation.
        """
        if factor == 1.0 or self.kind == "layer_norm":
            # A token less its mean, divided by its deviation, is the same for every factor.
            return self
        return Normalization("constant_norm", self.scale * factor, self.norm_limit)

    def sinks(self, raw: Tensor) -> Tensor:
        """Which of the raw activations (B, d) are beyond the limit: bool, shape (B,). What is not finite is no sink, but a fault
        that must be seen."""
        if self.norm_limit is None:
            return torch.zeros(raw.shape[0], dtype=torch.bool, device=raw.device)
        norms: Tensor = torch.linalg.vector_norm(raw, dim=1, dtype=torch.float32)
        return (norms > self.norm_limit) & norms.isfinite()

    def judged(self, y: Tensor, raw: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and squared errors in units that are the same for all tokens, so that their sums mean something.

        layer_norm has units of each token's own: a token of ten times the deviation would count as much as any other. Its are raw;
        the others have one scale for all, which an FVU does not see.

        Args:
            y: normalised targets, shape (B, d).
            raw: what they were made of, shape (B, d).
            errors: ‖ŷ − y‖² of each token, shape (B,).
        """
        if self.kind != "layer_norm":
            return y, errors
        x = raw.to(torch.float32)
        return x, errors * _token_moments(x)[1].square().squeeze(-1)

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
"""A quarter of a million tokens, as blocks are in a training: by then the scale is known to 1 % where the mean squares of contexts
differ by 45 %. Where they differ more, it is what it seems to be."""


class ScaleEstimator:
    """Measures a site's units on a stream of activations, until they are known well enough: s with E‖s·x‖² = d, and the norm
    beyond which a token is a sink.

    The limit is a multiple of the median norm of all tokens so far; what is beyond it has no part in s. Tokens of one context are
    alike, so the error of s is estimated from the spread between blocks as well as between tokens, and the larger of the two counts.
    The median is known well before: half of the tokens lie on either side of it, however long the others are.
    """

    def __init__(
        self,
        d: int,
        tolerance: float = 0.01,
        minimum_blocks: int = 8,
        *,
        kind: Kind = "constant_norm",
        max_activation_norm: float | None = None,
    ) -> None:
        """For activations of width d.

        Args:
            d: their width.
            tolerance: of s, relative, as two standard errors.
            minimum_blocks: fewer than so many are never enough.
            kind: of the units; those without a scale take the fewest blocks, and none where no limit is asked for.
            max_activation_norm: how many times the median norm a token may have; None for no limit.
        """
        self._d = d
        self._tolerance = tolerance
        self._kind: Kind = kind
        self._factor = max_activation_norm
        needless = kind != "constant_norm" and max_activation_norm is None
        self._minimum_blocks = 0 if needless else minimum_blocks
        self._squares: list[Tensor] = []

    @property
    def tokens(self) -> int:
        """Tokens seen so far, sinks and all."""
        return sum(len(block) for block in self._squares)

    @property
    def norm_limit(self) -> float | None:
        """The norm beyond which a token is a sink, as it is known now; None where there is no limit, or most tokens are 0."""
        if self._factor is None or not self._squares:
            return None
        limit = self._factor * math.sqrt(float(torch.cat(self._squares).median()))
        return limit if math.isfinite(limit) and limit > 0 else None

    @property
    def relative_error(self) -> float:
        """Two standard errors of s, relative to s; infinite while there are fewer than two blocks."""
        if len(self._squares) < 2:
            return math.inf
        ordinary = self._ordinary()
        sums = torch.stack([block.sum() for block in ordinary])
        sizes = torch.tensor([len(block) for block in ordinary], dtype=torch.float64)
        n = float(sizes.sum())
        mean = float(sums.sum()) / n
        if not (math.isfinite(mean) and mean > 0):
            return math.inf
        squares = sum(float(block.square().sum()) for block in ordinary)
        between_tokens = max(squares / n - mean * mean, 0.0) / n
        blocks = len(ordinary)
        between_blocks = float((sums - sizes * mean).square().sum()) * blocks / (blocks - 1) / (n * n)
        # s goes with the mean to the power −½: half the relative error.
        return math.sqrt(max(between_tokens, between_blocks)) / mean

    @property
    def settled(self) -> bool:
        """Whether more blocks would tell nothing: the error is within the tolerance, there have been very many already, or
        there is no scale at all, which `result` says."""
        blocks = len(self._squares)
        if blocks < self._minimum_blocks:
            return False
        return (
            self._kind != "constant_norm"
            or blocks >= _MOST_BLOCKS
            or not self._has_scale
            or self.relative_error <= self._tolerance
        )

    @property
    def share(self) -> float:
        """How much of the measuring is done, 0 to 1, as it looks now: an error falls with the root of the blocks."""
        if self.settled:
            return 1.0
        blocks = len(self._squares)
        ratio = self.relative_error / self._tolerance if self._kind == "constant_norm" and self._tolerance else 1.0
        needed = min(max(blocks * ratio * ratio, self._minimum_blocks), _MOST_BLOCKS)
        return min(blocks / needed, 1.0)

    def add(self, raw: Tensor) -> None:
        """Takes in a block of raw activations, shape (n, d), n ≥ 1. Waits for the device."""
        self._squares.append(raw.detach().to(torch.float32).square().sum(1).to("cpu", torch.float64))

    def result(self) -> Normalization:
        """The units as they are known now.

        Raises:
            InvalidInput: a scale is asked for, and nothing was seen, or the activations are all 0 or not finite.
        """
        if self._kind != "constant_norm":
            return Normalization(self._kind, norm_limit=self.norm_limit)
        if self.tokens == 0:
            raise InvalidInput("The activation scale cannot be measured on no tokens.", "Give at least one batch.")
        mean = self._mean
        if not self._has_scale:
            raise InvalidInput(
                f"The activations' mean squared norm is {mean}: they cannot be scaled.",
                "Check the model's dtype (float16 overflows) and the hook point.",
            )
        return Normalization("constant_norm", math.sqrt(self._d / mean), self.norm_limit)

    @property
    def _mean(self) -> float:
        return float(torch.cat(self._ordinary()).mean())

    @property
    def _has_scale(self) -> bool:
        return math.isfinite(self._mean) and self._mean > 0

    def _ordinary(self) -> list[Tensor]:
        """Squared norms of each block, sinks left out."""
        limit = self.norm_limit
        if limit is None:
            return self._squares
        # What is not finite stays, and is found.
        return [block[~(block > limit * limit) | block.isinf()] for block in self._squares]


def _token_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.mean(dim=-1, keepdim=True)
    return mean, x.std(dim=-1, keepdim=True) + _LAYER_NORM_EPSILON
