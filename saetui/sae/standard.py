"""`standard`: a ReLU encoder with an L1 penalty (Bricken et al. 2023; with `decoder_norm: free`, Conerly et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.relu_losses import l1_losses
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.relu import ReluSAE


class StandardSAE(ReluSAE):
    """z = relu(h); loss = recon + sparsity_coefficient · mean over tokens of Σ z_i·n_i (n_i = 1 with unit rows)."""

    architecture = "standard"

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
        ghost_gradients: bool = False,
        tie_weights: bool = False,
    ) -> None:
        """As the base; and:

        Args:
            d_in: see the base.
            d_out: see the base.
            latents: see the base.
            generator: see the base.
            decoder_norm: see the base.
            firing_threshold: see the base.
            ghost_gradients: see the base.
            tie_weights: W_enc is W_decᵀ throughout, and no parameter of its own.

        Raises:
            InvalidInput: tied weights between an input and a target of different widths.
        """
        if tie_weights and d_in != d_out:
            raise InvalidInput(f"Weights cannot be tied between widths {d_in} and {d_out}.", "Turn tie_weights off.")
        self.tie_weights = tie_weights
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
            ghost_gradients=ghost_gradients,
        )

    def _make_encoder(self, generator: torch.Generator) -> None:
        if not self.tie_weights:
            super()._make_encoder(generator)

    @property
    def encoder_weight(self) -> Tensor:
        """W_enc, or W_decᵀ with tied weights: shape (d_in, F)."""
        return self.W_dec.t() if self.tie_weights else self.W_enc

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "tie_weights": self.tie_weights}

    def encode(self, x: Tensor) -> Tensor:
        """relu(h) for x (B, d_in): shape (B, F)."""
        return self.pre_activations(x).relu()

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
        """Terms: recon, sparsity, and with ghost gradients aux. See the base for the arguments."""
        y = x if target is None else target
        outcome = l1_losses(self, x, y, path)
        terms = {"recon": outcome.recon, "sparsity": sparsity_coefficient * outcome.l1}
        if self.ghost_gradients:
            terms["aux"] = self.ghost_term(x, outcome.residual, dead)
        tokens = x.shape[0]
        statistics = BatchStatistics(
            tokens=tokens,
            errors=outcome.residual.square().sum(1),
            l1=outcome.l1.detach() * tokens,
            fired=outcome.fired,
            not_zero=outcome.active,
        )
        return Losses(terms, statistics)
