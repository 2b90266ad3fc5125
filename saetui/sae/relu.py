"""What the architectures with a gate of their own for each latent share: standard, jumprelu, gated."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.sae.base import DecoderNorm, Option, SparseAutoencoder
from saetui.sae.dead import DeadSet
from saetui.sae.ghost import ghost_loss
from saetui.sae.kernels.dense import pre_activations


class ReluSAE(SparseAutoencoder):
    """An SAE whose latents fire each by its own pre-activation: with a sparsity penalty, and ghosts of dead latents."""

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
    ) -> None:
        """As the base; and:

        Args:
            d_in: see the base.
            d_out: see the base.
            latents: see the base.
            generator: see the base.
            decoder_norm: see the base.
            firing_threshold: see the base.
            ghost_gradients: give dead latents a gradient through exp(h) (ghost.py).
        """
        super().__init__(d_in, d_out, latents, generator, decoder_norm=decoder_norm, firing_threshold=firing_threshold)
        self.ghost_gradients = ghost_gradients

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "ghost_gradients": self.ghost_gradients}

    @property
    def sparsity_hyperparameter(self) -> str | None:
        """`l1_alpha`: the penalty is an L1."""
        return "l1_alpha"

    def dead_pre_activations(self, x: Tensor, dead: DeadSet, *, centre: Tensor | None) -> Tensor:
        """h of the dead latents alone, differentiable but for x: shape (B, count).

        Args:
            x: shape (B, d_in).
            dead: which latents.
            centre: b_dec, attached or not, or None where x is not centred.
        """
        columns = self.encoder_weight.index_select(1, dead.indices)
        bias = self.encoder_bias.index_select(0, dead.indices)
        return pre_activations(x, columns, bias, centre, self.compute_dtype)

    def ghost_term(self, x: Tensor, residual: Tensor, dead: DeadSet | None) -> Tensor:
        """The ghosts' loss, shape (); 0 while nothing is dead.

        Args:
            x: shape (B, d_in).
            residual: y − x̂, detached, shape (B, d_out).
            dead: the dead latents.
        """
        if dead is None:
            return residual.new_zeros(())
        h = self.dead_pre_activations(x, dead, centre=self.b_dec.detach() if self.centres_input else None)
        return ghost_loss(h, self.W_dec.index_select(0, dead.indices), residual)
