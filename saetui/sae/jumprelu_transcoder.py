"""Transcoders with thresholds, as other tools make them (Gemma Scope 2 among them): read, judged, written, not trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saetui.errors import InvalidInput
from saetui.sae.base import Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.jumprelu import JumpReLUSAE
from saetui.sae.losses import Losses


class JumpReLUTranscoder(JumpReLUSAE):
    """ŷ = z·W_dec + b_dec with z = h·1[h > θ], h = x·W_enc + b_enc."""

    architecture = "jumprelu_transcoder"
    centres_input = False

    def loss(
        self,
        x: Tensor,
        target: Tensor | None = None,
        *,
        sparsity_coefficient: float = 0.0,
        dead: DeadSet | None = None,
        whole_batch: WholeBatch | None = None,
        path: Path = "auto",
    ) -> Losses:
        """As jumprelu's, towards a target that is always named.

        Raises:
            InvalidInput: no target.
        """
        if target is None:
            raise InvalidInput(f"{self.architecture} was given no target.", "Give it what it is to predict.")
        return super().loss(
            x, target, sparsity_coefficient=sparsity_coefficient, dead=dead, whole_batch=whole_batch, path=path
        )


class JumpReLUSkipTranscoder(JumpReLUTranscoder):
    """The same with a linear path beside it: ŷ = z·W_dec + b_dec + x·W_skip."""

    architecture = "jumprelu_skip_transcoder"
    W_skip: nn.Parameter

    def __init__(self, d_in: int, d_out: int, latents: int, generator: torch.Generator, **options: object) -> None:
        """As jumprelu; W_skip (d_in, d_out) is 0."""
        super().__init__(d_in, d_out, latents, generator, **options)  # type: ignore[arg-type]  # the base checks them
        self.W_skip = nn.Parameter(torch.zeros(d_in, d_out))

    def forward(self, x: Tensor) -> Tensor:
        """ŷ for x (B, d_in): shape (B, d_out)."""
        return super().forward(x) + x @ self.W_skip

    def measure(self, x: Tensor, target: Tensor | None = None, *, sparsity_coefficient: float = 0.0) -> Losses:
        """What is left for the latents to predict: the target less the linear path."""
        rest = None if target is None else target - x @ self.W_skip
        return super().measure(x, rest, sparsity_coefficient=sparsity_coefficient)
