"""`jumprelu`: a learnt threshold for each latent (Rajamanoharan et al. 2024, arXiv 2407.14435).

Transcoders with thresholds, as other tools make them (Gemma Scope 2 among them), are read, judged and written, but not trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import torch
from torch import Tensor, nn

from saetui.errors import InvalidInput
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.dead_latents import pre_activation_loss
from saetui.sae.kernels.threshold import SparsityMode, ThresholdOptions, jump, threshold_losses, window_floor
from saetui.sae.kernels.weights import Outcome, Weights
from saetui.sae.options import Sizes
from saetui.sae.relu import ReluOptions, ReluSAE
from saetui.sae.transcoder import LinearPath

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class JumpReLUOptions(ReluOptions):
    """Those of all ReLU architectures, and:

    Attributes:
        sparsity_mode: which penalty.
        l0_target: active latents a token that `quadratic` aims at.
        bandwidth: ε of the straight-through gradients, in units of h.
        initial_threshold: θ at the start, in units of h.
        pre_activation_alpha: coefficient of Σ relu(θ − h)·n over the dead latents, which pulls them back; 0 for
            none (Anthropic, January 2025, has 3e-6 for a reconstruction error summed over d).
    """

    sparsity_mode: SparsityMode = "step"
    l0_target: float = 50.0
    bandwidth: float = 0.05
    initial_threshold: float = 0.01
    pre_activation_alpha: float = 0.0

    def fitted(self, sizes: Sizes) -> Self:
        """Refuses an unknown mode, and a number out of its range."""
        if self.sparsity_mode not in get_args(SparsityMode):
            raise InvalidInput(f"sparsity_mode is {self.sparsity_mode!r}.", "Choose step, quadratic or tanh.")
        for name in ("bandwidth", "l0_target"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", "It must be above 0.")
        for name in ("initial_threshold", "pre_activation_alpha"):
            if not getattr(self, name) >= 0:
                raise InvalidInput(f"{name} is {getattr(self, name)}.", "It must be at least 0.")
        return super().fitted(sizes)


class JumpReLUSAE(ReluSAE):
    """z = h·1[h > θ] (not relu(h − θ)); loss = recon + sparsity_coefficient · penalty, by `sparsity_mode`.

    step: L0, the mean over tokens of Σ 1[h > θ]. quadratic: the mean of (2/l0_target)(L0 − l0_target)² (Gemma Scope 2).
    tanh: the mean of Σ tanh(4·z_i·n_i) (Anthropic, January 2025). θ has straight-through gradients (kernels/threshold.py).
    It is a float32 parameter itself, not its logarithm, which Adam barely moves.
    """

    architecture = "jumprelu"
    options_type = JumpReLUOptions
    options: JumpReLUOptions
    threshold: nn.Parameter

    def make_parameters(self, generator: torch.Generator) -> None:
        """As the base, and θ."""
        super().make_parameters(generator)
        self.threshold = nn.Parameter(torch.full((self.latents,), float(self.options.initial_threshold)))

    @property
    def rate_factors(self) -> dict[str, float]:
        """θ learns √d_in times as fast: it is √d_in larger than in the papers' units, and Adam moves it by the rate."""
        return {"threshold": math.sqrt(self.d_in)}

    @property
    def sparse_floor(self) -> Tensor | float:
        """Where the windows of θ begin, shape (F,)."""
        return window_floor(self.threshold, self.options.bandwidth)

    def encode(self, x: Tensor) -> Tensor:
        """h·1[h > θ] for x (B, d_in): shape (B, F)."""
        h = self.pre_activations(x)
        z, _ = jump(h, self.threshold.expand_as(h), self.options.bandwidth)
        return z

    def outcome(
        self, x: Tensor, y: Tensor, weights: Weights, dead: DeadSet | None, *, sparse: bool
    ) -> tuple[Outcome, list[Tensor]]:
        """Error and penalty; and the pre-activation loss where it has a coefficient."""
        options = self.options
        how = ThresholdOptions(options.sparsity_mode, options.l0_target, options.bandwidth)
        outcome = threshold_losses(x, y, weights, self.threshold, how, sparse=sparse)
        if options.pre_activation_alpha > 0:
            return outcome, [options.pre_activation_alpha * self._pre_activation_loss(x, weights, dead)]
        return outcome, []

    def after_step(self) -> None:
        """As the base; and thresholds below 0, which would let negative activations through, become 0."""
        super().after_step()
        with torch.no_grad():
            self.threshold.clamp_(min=0.0)

    def resampled_values(self, living: Tensor, share: float) -> dict[str, Tensor | float]:
        """As the base; θ is the living latents' mean in proportion to the encoder's norm, so that it is as selective."""
        return {**super().resampled_values(living, share), "threshold": share * self.threshold[living].mean()}

    def _pre_activation_loss(self, x: Tensor, weights: Weights, dead: DeadSet | None) -> Tensor:
        """The mean over tokens of Σ relu(θ − h)·n over the dead latents, shape (); 0 while nothing is dead."""
        if dead is None:
            return x.new_zeros(())
        return pre_activation_loss(
            x,
            weights.W_enc.index_select(1, dead.indices),
            weights.b_enc.index_select(0, dead.indices),
            self.threshold.index_select(0, dead.indices),
            centre=weights.b_in,
            norms=None if weights.norms is None else weights.norms.index_select(0, dead.indices),
            dtype=self.compute_dtype,
        )


class JumpReLUTranscoder(JumpReLUSAE):
    """ŷ = z·W_dec + b_dec with z = h·1[h > θ], h = x·W_enc + b_enc."""

    architecture = "jumprelu_transcoder"
    centres_input = False


class JumpReLUSkipTranscoder(LinearPath, JumpReLUTranscoder):
    """The same with a linear path beside it."""

    architecture = "jumprelu_skip_transcoder"
