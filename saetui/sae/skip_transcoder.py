"""`skip_transcoder`: a transcoder beside a linear path (Paulo, Shabalin & Belrose 2025, arXiv 2501.18823)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saetui.sae.base import DecoderNorm, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.dense import product
from saetui.sae.losses import Losses
from saetui.sae.transcoder import Transcoder


class SkipTranscoder(Transcoder):
    """ŷ = z·W_dec + b_dec + x·W_skip: what is linear in x needs no latents.

    Attributes:
        W_skip: shape (d_in, d_out), 0 at the start.
    """

    architecture = "skip_transcoder"

    W_skip: nn.Parameter

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        k: int | None = None,
        aux_k: int | None = None,
        aux_k_alpha: float = 1 / 32,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
    ) -> None:
        """As transcoder."""
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            k=k,
            aux_k=aux_k,
            aux_k_alpha=aux_k_alpha,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
        )
        self.W_skip = nn.Parameter(torch.zeros(d_in, d_out))

    def forward(self, x: Tensor) -> Tensor:
        """ŷ for x (B, d_in): shape (B, d_out)."""
        return super().forward(x) + x @ self.W_skip

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
        """Terms as the transcoder's.

        The latents predict y − x·W_skip: the error is ŷ − y all the same, and the target's gradient is W_skip's.

        Raises:
            InvalidInput: no target.
        """
        remainder = self._named(target) - product(x, self.W_skip, self.compute_dtype)
        return super().loss(
            x,
            remainder,
            sparsity_coefficient=sparsity_coefficient,
            dead=dead,
            whole_batch=whole_batch,
            path=path,
        )
