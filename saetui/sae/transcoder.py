"""`transcoder`: predicts the output of an MLP from its input (Dunefsky et al. 2024, arXiv 2406.11944).

`skip_transcoder`: the same beside a linear path (Paulo, Shabalin & Belrose 2025, arXiv 2501.18823).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from saetui.sae.base import BatchContext, SparseAutoencoder
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.dense import product
from saetui.sae.kernels.relu import relu_losses
from saetui.sae.kernels.sparse_layers import is_sparse
from saetui.sae.losses import Losses, penalised
from saetui.sae.options import Sizes
from saetui.sae.topk import TopKOptions, TopKSAE

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class TranscoderOptions(TopKOptions):
    """Those of topk. Without a k every latent may be active, and an L1 penalty holds them down; AuxK is then not used."""

    k: int | None = None

    def fitted(self, sizes: Sizes) -> Self:
        """As topk's, and k stays None."""
        if self.k is not None:
            return super().fitted(sizes)
        return replace(replace(self, k=sizes.latents).fitted(sizes), k=None)


class Transcoder(TopKSAE):
    """ŷ = z·W_dec + b_dec for h = x·W_enc + b_enc; sparse by the k largest, with AuxK, or by an L1 penalty.

    The target is not the input, and must always be given: nothing is ever compared with x by default.
    """

    architecture = "transcoder"
    centres_input = False
    options_type = TranscoderOptions
    options: TranscoderOptions

    @property
    def by_l1(self) -> bool:
        """Whether a penalty and no k makes the codes sparse."""
        return self.options.k is None

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""
        return self.pre_activations(x).relu() if self.by_l1 else super().encode(x)

    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """Terms: recon = mean((ŷ − y)²), and by k aux as in topk, by L1 sparsity as in standard."""
        if not self.by_l1:
            return super().losses(x, y, context)
        weights = self.weights()
        sparse = is_sparse(x, weights, 0.0) if context.path == "auto" else context.path == "sparse"
        return penalised(relu_losses(x, y, weights, sparse=sparse), context.sparsity_coefficient)

    def needs_batch_residual(self, dead: DeadSet | None) -> bool:
        """As topk; by L1 every term is a plain mean over tokens."""
        return not self.by_l1 and super().needs_batch_residual(dead)


class LinearPath(SparseAutoencoder):
    """A transcoder with ŷ = z·W_dec + b_dec + x·W_skip: what is linear in x needs no latents.

    Attributes:
        W_skip: shape (d_in, d_out), 0 at the start.
    """

    W_skip: nn.Parameter

    def make_parameters(self, generator: torch.Generator) -> None:
        """As the transcoder without it, and W_skip."""
        super().make_parameters(generator)
        self.W_skip = nn.Parameter(torch.zeros(self.d_in, self.d_out))

    def forward(self, x: Tensor) -> Tensor:
        """ŷ for x (B, d_in): shape (B, d_out)."""
        return super().forward(x) + x @ self.W_skip

    def goal(self, x: Tensor, target: Tensor | None) -> Tensor:
        """What is left for the latents: y − x·W_skip. The error is ŷ − y all the same, and W_skip has the goal's gradient."""
        return super().goal(x, target) - product(x, self.W_skip, self.compute_dtype)


class SkipTranscoder(LinearPath, Transcoder):
    """`transcoder` with a linear path."""

    architecture = "skip_transcoder"
