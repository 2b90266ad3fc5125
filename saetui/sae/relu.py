"""What the architectures share whose latents each fire by their own pre-activation: standard, skip, jumprelu, gated."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from saetui.sae.base import BatchContext, SparseAutoencoder
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.dead_latents import ghost_loss
from saetui.sae.kernels.dense import pre_activations
from saetui.sae.kernels.sparse_layers import is_sparse
from saetui.sae.kernels.weights import Outcome, Weights
from saetui.sae.losses import Losses, penalised
from saetui.sae.options import Options


@dataclass(frozen=True, kw_only=True)
class ReluOptions(Options):
    """Those of all architectures, and:

    Attributes:
        ghost_gradients: give dead latents a gradient through exp(h) (kernels/dead_latents.py).
    """

    ghost_gradients: bool = False


class ReluSAE(SparseAutoencoder):
    """loss = recon + sparsity_coefficient · penalty + aux, where aux is the architecture's own terms and the ghosts'."""

    options_type = ReluOptions
    options: ReluOptions

    @abstractmethod
    def outcome(
        self, x: Tensor, y: Tensor, weights: Weights, dead: DeadSet | None, *, sparse: bool
    ) -> tuple[Outcome, list[Tensor]]:
        """Errors, penalty and counts of one batch, and auxiliary terms of its own, each of shape ().

        Args:
            x: shape (B, d_in).
            y: what is to be predicted, shape (B, d_out).
            weights: of this SAE.
            dead: the dead latents.
            sparse: whether to compute the entries above `sparse_floor` alone.
        """

    @property
    def sparse_floor(self) -> Tensor | float:
        """Pre-activations below it, one number or one for each latent, have neither value nor gradient."""
        return 0.0

    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """Terms: recon, sparsity, and aux where there is one."""
        weights, dead = self.weights(), context.dead
        sparse = is_sparse(x, weights, self.sparse_floor) if context.path == "auto" else context.path == "sparse"
        outcome, aux = self.outcome(x, y, weights, dead, sparse=sparse)
        if self.options.ghost_gradients:
            aux.append(self._ghost_term(x, outcome.residual, dead))
        return penalised(outcome, context.sparsity_coefficient, aux)

    def dead_pre_activations(self, x: Tensor, dead: DeadSet) -> Tensor:
        """h of the dead latents alone, shape (B, count): differentiable in their encoder, not in x and b_dec."""
        columns = self.encoder_weight.index_select(1, dead.indices)
        bias = self.encoder_bias.index_select(0, dead.indices)
        centre = self.b_dec.detach() if self.centres_input else None
        return pre_activations(x, columns, bias, centre, self.compute_dtype)

    def _ghost_term(self, x: Tensor, residual: Tensor, dead: DeadSet | None) -> Tensor:
        """The loss of the ghosts, shape (); 0 while nothing is dead."""
        if dead is None:
            return residual.new_zeros(())
        return ghost_loss(self.dead_pre_activations(x, dead), self.W_dec.index_select(0, dead.indices), residual)
