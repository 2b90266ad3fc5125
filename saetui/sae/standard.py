"""`standard`: a ReLU encoder with an L1 penalty (Bricken et al. 2023; with `decoder_norm: free`, Conerly et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.relu import relu_losses
from saetui.sae.kernels.weights import Outcome, Weights
from saetui.sae.options import Sizes
from saetui.sae.relu import ReluOptions, ReluSAE

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class StandardOptions(ReluOptions):
    """Those of all ReLU architectures, and:

    Attributes:
        tie_weights: W_enc is W_decᵀ throughout, and no parameter of its own.
    """

    tie_weights: bool = False

    def fitted(self, sizes: Sizes) -> Self:
        """Refuses tied weights between an input and a target of different widths."""
        if self.tie_weights and sizes.d_in != sizes.d_out:
            raise InvalidInput(
                f"Weights cannot be tied between widths {sizes.d_in} and {sizes.d_out}.", "Turn tie_weights off."
            )
        return super().fitted(sizes)


class StandardSAE(ReluSAE):
    """z = relu(h); loss = recon + sparsity_coefficient · mean over tokens of Σ z_i·n_i (n_i = 1 with unit rows)."""

    architecture = "standard"
    options_type = StandardOptions
    options: StandardOptions

    def make_encoder(self, generator: torch.Generator) -> None:
        """W_enc, unless it is tied to W_dec."""
        if not self.options.tie_weights:
            super().make_encoder(generator)

    @property
    def encoder_weight(self) -> Tensor:
        """W_enc, or W_decᵀ with tied weights: shape (d_in, F)."""
        return self.W_dec.t() if self.options.tie_weights else self.W_enc

    def encode(self, x: Tensor) -> Tensor:
        """relu(h) for x (B, d_in): shape (B, F)."""
        return self.pre_activations(x).relu()

    def outcome(
        self, x: Tensor, y: Tensor, weights: Weights, dead: DeadSet | None, *, sparse: bool
    ) -> tuple[Outcome, list[Tensor]]:
        """The error and the L1, without a term of its own."""
        del dead
        return relu_losses(x, y, weights, sparse=sparse), []
