"""`gated`: a gate decides which latents are active, a magnitude how much (Rajamanoharan et al. 2024, arXiv 2404.16014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saetui.sae.dead import DeadSet
from saetui.sae.kernels.gate import gate_losses
from saetui.sae.kernels.weights import Outcome, Weights
from saetui.sae.relu import ReluSAE


class GatedSAE(ReluSAE):
    """z = 1[π > 0]·relu(m), from one product a = (x − b_dec)·W_enc: π = a + b_gate, m = exp(r_mag)·a + b_mag.

    loss = recon + sparsity_coefficient · mean over tokens of Σ relu(π_i)·n_i + aux, where aux is the mean square
    error of relu(π) through the decoder. W_dec and b_dec are detached in it (section 3.2 of the paper): it is to
    train the gate, which the reconstruction does not reach, and not the decoder. So is n_i: with `decoder_norm: free`
    nothing but the penalty would act on the length of the rows, since the magnitude makes up for it, and the penalty would
    vanish by shrinking them (measured: of 64 planted directions 19 % were found so, and 97 % with n_i detached).
    """

    architecture = "gated"
    b_gate: nn.Parameter
    r_mag: nn.Parameter
    b_mag: nn.Parameter

    def make_parameters(self, generator: torch.Generator) -> None:
        """b_gate, r_mag and b_mag, all 0 at the start, in place of b_enc."""
        super().make_parameters(generator)
        # Gate and magnitude have a bias each.
        del self.b_enc
        self.b_gate = nn.Parameter(torch.zeros(self.latents))
        self.r_mag = nn.Parameter(torch.zeros(self.latents))
        self.b_mag = nn.Parameter(torch.zeros(self.latents))

    @property
    def encoder_bias(self) -> Tensor:
        """b_gate: the pre-activations are those of the gate."""
        return self.b_gate

    def encode(self, x: Tensor) -> Tensor:
        """1[π > 0]·relu(m) for x (B, d_in): shape (B, F)."""
        centred = x - self.b_dec if self.centres_input else x
        a = centred @ self.encoder_weight
        return torch.addcmul(self.b_mag, a, self.r_mag.exp()).relu() * (a + self.b_gate > 0)

    def outcome(
        self, x: Tensor, y: Tensor, weights: Weights, dead: DeadSet | None, *, sparse: bool
    ) -> tuple[Outcome, list[Tensor]]:
        """Error and penalty; and the gate's own reconstruction as a term."""
        del dead
        outcome, aux = gate_losses(x, y, weights, self.r_mag, self.b_mag, sparse=sparse)
        return outcome, [aux]

    def decoder_norms(self) -> Tensor | None:
        """n_i, detached, shape (F,); None with unit rows. The paper has unit rows only."""
        norms = super().decoder_norms()
        return None if norms is None else norms.detach()

    def dead_pre_activations(self, x: Tensor, dead: DeadSet) -> Tensor:
        """(π + m)/2 of the dead latents: either may be what keeps one silent."""
        pi = super().dead_pre_activations(x, dead)
        b_gate, r_mag, b_mag = (
            parameter.index_select(0, dead.indices) for parameter in (self.b_gate, self.r_mag, self.b_mag)
        )
        return (pi + torch.addcmul(b_mag, pi - b_gate, r_mag.exp())) / 2

    def resampled_values(self, living: Tensor, share: float) -> dict[str, Tensor | float]:
        """Gate and magnitude as at the start: all 0."""
        del living, share
        return {"b_gate": 0.0, "r_mag": 0.0, "b_mag": 0.0}
