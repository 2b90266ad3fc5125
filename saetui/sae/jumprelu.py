"""`jumprelu`: a learnt threshold for each latent (Rajamanoharan et al. 2024, arXiv 2407.14435)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.jumprelu_dense import dense_outcome
from saetui.sae.kernels.jumprelu_sparse import sparse_outcome, window_floor
from saetui.sae.kernels.pre_activation_loss import pre_activation_loss
from saetui.sae.kernels.relu_losses import encoder_of
from saetui.sae.kernels.sparse_layers import is_sparse
from saetui.sae.kernels.straight_through import jump
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.relu import ReluSAE

SparsityMode = Literal["step", "quadratic", "tanh"]


class JumpReLUSAE(ReluSAE):
    """z = h·1[h > θ] (not relu(h − θ)); loss = recon + sparsity_coefficient · penalty, by `sparsity_mode`.

    step: L0, the mean over tokens of Σ 1[h > θ]. quadratic: the mean of (2/l0_target)(l0 − l0_target)² (Gemma Scope 2).
    tanh: the mean of Σ tanh(4·z_i·n_i) (Anthropic, January 2025). θ gets straight-through gradients (straight_through.py).
    It is a float32 parameter itself, not its logarithm, which Adam barely moves.
    """

    architecture = "jumprelu"
    threshold: nn.Parameter

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
        sparsity_mode: SparsityMode = "step",
        l0_target: float = 50.0,
        bandwidth: float = 0.05,
        initial_threshold: float = 0.01,
        pre_activation_alpha: float = 0.0,
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
            sparsity_mode: which penalty.
            l0_target: active latents a token that `quadratic` aims at.
            bandwidth: ε of the straight-through gradients, in units of h.
            initial_threshold: θ at the start, in units of h.
            pre_activation_alpha: coefficient of Σ relu(θ − h)·n over the dead latents, which pulls them back; 0 for
                none (Anthropic, January 2025, has 3e-6 for a reconstruction error summed over d).

        Raises:
            InvalidInput: an unknown mode, or a number out of its range.
        """
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
            ghost_gradients=ghost_gradients,
        )
        if sparsity_mode not in get_args(SparsityMode):
            raise InvalidInput(f"sparsity_mode is {sparsity_mode!r}.", "Choose step, quadratic or tanh.")
        for name, value in (("bandwidth", bandwidth), ("l0_target", l0_target)):
            if not value > 0:
                raise InvalidInput(f"{name} is {value}.", "It must be above 0.")
        for name, value in (("initial_threshold", initial_threshold), ("pre_activation_alpha", pre_activation_alpha)):
            if not value >= 0:
                raise InvalidInput(f"{name} is {value}.", "It must be at least 0.")
        self.sparsity_mode: SparsityMode = sparsity_mode
        self.l0_target = l0_target
        self.bandwidth = bandwidth
        self.initial_threshold = initial_threshold
        self.pre_activation_alpha = pre_activation_alpha
        self.threshold = nn.Parameter(torch.full((latents,), float(initial_threshold)))

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {
            **super().options,
            "sparsity_mode": self.sparsity_mode,
            "l0_target": self.l0_target,
            "bandwidth": self.bandwidth,
            "initial_threshold": self.initial_threshold,
            "pre_activation_alpha": self.pre_activation_alpha,
        }

    @property
    def sparsity_hyperparameter(self) -> str | None:
        """`l0_alpha`: the penalty is one on L0 (or on its smooth stand-in)."""
        return "l0_alpha"

    @property
    def rate_factors(self) -> dict[str, float]:
        """θ learns √d_in times as fast: it is √d_in larger than in the papers' units, and Adam moves it by the rate."""
        return {"threshold": math.sqrt(self.d_in)}

    def encode(self, x: Tensor) -> Tensor:
        """h·1[h > θ] for x (B, d_in): shape (B, F)."""
        h = self.pre_activations(x)
        z, _ = jump(h, self.threshold.expand_as(h), self.bandwidth)
        return z

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
        """Terms: recon, sparsity, and aux (pre-activation loss and ghosts) where there is one. See the base."""
        y = x if target is None else target
        if path == "auto":
            encoder, floor = encoder_of(self, self.b_enc), window_floor(self.threshold, self.bandwidth)
            path = "sparse" if is_sparse(x, encoder, floor) else "dense"
        outcome = (sparse_outcome if path == "sparse" else dense_outcome)(self, x, y)
        terms = {"recon": outcome.recon, "sparsity": sparsity_coefficient * outcome.penalty}
        aux = []
        if self.pre_activation_alpha > 0:
            aux.append(self.pre_activation_alpha * self._pre_activation_loss(x, dead))
        if self.ghost_gradients:
            aux.append(self.ghost_term(x, outcome.residual, dead))
        if aux:
            terms["aux"] = torch.stack(aux).sum()
        statistics = BatchStatistics(
            tokens=x.shape[0],
            errors=outcome.residual.square().sum(1),
            l1=outcome.l1,
            fired=outcome.fired,
            not_zero=outcome.active,
        )
        return Losses(terms, statistics)

    def after_step(self) -> None:
        """As the base; and thresholds below 0, which would let negative activations through, become 0."""
        super().after_step()
        with torch.no_grad():
            self.threshold.clamp_(min=0.0)

    def resampled_values(self, living: Tensor, share: float) -> dict[str, Tensor | float]:
        """As the base; θ is the living latents' mean in proportion to the encoder's norm, so that it is as selective."""
        return {**super().resampled_values(living, share), "threshold": share * self.threshold[living].mean()}

    def _pre_activation_loss(self, x: Tensor, dead: DeadSet | None) -> Tensor:
        """The mean over tokens of Σ relu(θ − h)·n over the dead latents, shape (); 0 while nothing is dead."""
        if dead is None:
            return x.new_zeros(())
        norms = self.decoder_norms()
        return pre_activation_loss(
            x,
            self.encoder_weight.index_select(1, dead.indices),
            self.b_enc.index_select(0, dead.indices),
            self.threshold.index_select(0, dead.indices),
            centre=self.b_dec if self.centres_input else None,
            norms=None if norms is None else norms.index_select(0, dead.indices),
            dtype=self.compute_dtype,
        )
