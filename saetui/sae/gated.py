"""`gated`: a gate decides which latents are active, a magnitude how much (Rajamanoharan et al. 2024, arXiv 2404.16014)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saetui.sae.base import DecoderNorm, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.gated_dense import dense_outcome
from saetui.sae.kernels.gated_sparse import sparse_outcome
from saetui.sae.kernels.relu_losses import encoder_of
from saetui.sae.kernels.sparse_layers import is_sparse
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.relu import ReluSAE


class GatedSAE(ReluSAE):
    """z = 1[π > 0]·relu(m), from one product a = (x − b_dec)·W_enc: π = a + b_gate, m = exp(r_mag)·a + b_mag.

    loss = recon + sparsity_coefficient · mean over tokens of Σ relu(π_i)·n_i + aux, where aux is the mean square
    error of relu(π) through the decoder. W_dec and b_dec are detached in it (section 3.2 of the paper): it is to
    train the gate, which the reconstruction does not reach, and not the decoder. So is n_i: with `decoder_norm: free`
    nothing but the penalty would act on the rows' length, since the magnitude makes up for it, and the penalty would
    vanish by shrinking them (measured: of 64 planted directions 19 % were found so, and 97 % with n_i detached).
    """

    architecture = "gated"
    b_gate: nn.Parameter
    r_mag: nn.Parameter
    b_mag: nn.Parameter

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
        """As the base, with b_gate, r_mag and b_mag, all 0 at the start, in place of b_enc."""
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
            ghost_gradients=ghost_gradients,
        )
        # The base's: the gate and the magnitude have a bias each.
        del self.b_enc
        self.b_gate = nn.Parameter(torch.zeros(latents))
        self.r_mag = nn.Parameter(torch.zeros(latents))
        self.b_mag = nn.Parameter(torch.zeros(latents))

    @property
    def encoder_bias(self) -> Tensor:
        """b_gate: the pre-activations are those of the gate."""
        return self.b_gate

    def encode(self, x: Tensor) -> Tensor:
        """1[π > 0]·relu(m) for x (B, d_in): shape (B, F)."""
        centred = x - self.b_dec if self.centres_input else x
        a = centred @ self.encoder_weight
        return torch.addcmul(self.b_mag, a, self.r_mag.exp()).relu() * (a + self.b_gate > 0)

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
        """Terms: recon, sparsity, and aux: the gate's reconstruction, and ghosts. See the base for the arguments."""
        y = x if target is None else target
        if path == "auto":
            path = "sparse" if is_sparse(x, encoder_of(self, self.b_gate), 0.0) else "dense"
        outcome = (sparse_outcome if path == "sparse" else dense_outcome)(self, x, y)
        aux = outcome.aux
        if self.ghost_gradients:
            aux = aux + self.ghost_term(x, outcome.residual, dead)
        terms = {"recon": outcome.recon, "sparsity": sparsity_coefficient * outcome.l1, "aux": aux}
        statistics = BatchStatistics(
            tokens=x.shape[0],
            errors=outcome.residual.square().sum(1),
            l1=outcome.l1.detach() * x.shape[0],
            fired=outcome.fired,
            not_zero=outcome.active,
        )
        return Losses(terms, statistics)

    def decoder_norms(self) -> Tensor | None:
        """n_i, detached, shape (F,); None with unit rows. The paper has unit rows only."""
        norms = super().decoder_norms()
        return None if norms is None else norms.detach()

    def dead_pre_activations(self, x: Tensor, dead: DeadSet, *, centre: Tensor | None) -> Tensor:
        """(π + m)/2 of the dead latents: either may be what keeps one silent. See the parent."""
        pi = super().dead_pre_activations(x, dead, centre=centre)
        b_gate, r_mag, b_mag = (
            parameter.index_select(0, dead.indices) for parameter in (self.b_gate, self.r_mag, self.b_mag)
        )
        return (pi + torch.addcmul(b_mag, pi - b_gate, r_mag.exp())) / 2

    def resampled_values(self, living: Tensor, share: float) -> dict[str, Tensor | float]:
        """Gate and magnitude as at the start: all 0."""
        del living, share
        return {"b_gate": 0.0, "r_mag": 0.0, "b_mag": 0.0}
