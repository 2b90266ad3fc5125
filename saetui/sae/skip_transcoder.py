"""`skip_transcoder`: a transcoder beside a linear path (Paulo, Shabalin & Belrose 2025, arXiv 2501.18823)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saetui.sae.kernels.dense import product
from saetui.sae.transcoder import Transcoder


class SkipTranscoder(Transcoder):
    """ŷ = z·W_dec + b_dec + x·W_skip: what is linear in x needs no latents.

    Attributes:
        W_skip: shape (d_in, d_out), 0 at the start.
    """

    architecture = "skip_transcoder"
    W_skip: nn.Parameter

    def make_parameters(self, generator: torch.Generator) -> None:
        """As transcoder, and W_skip."""
        super().make_parameters(generator)
        self.W_skip = nn.Parameter(torch.zeros(self.d_in, self.d_out))

    def forward(self, x: Tensor) -> Tensor:
        """ŷ for x (B, d_in): shape (B, d_out)."""
        return super().forward(x) + x @ self.W_skip

    def goal(self, x: Tensor, target: Tensor | None) -> Tensor:
        """What is left for the latents: y − x·W_skip. The error is ŷ − y all the same, and W_skip has the goal's gradient."""
        return super().goal(x, target) - product(x, self.W_skip, self.compute_dtype)
