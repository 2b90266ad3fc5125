"""`topk`: the k largest pre-activations of each token (Gao et al. 2024, arXiv 2406.04093), with AuxK for dead latents."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, SparseAutoencoder, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.sparse import sparse_is_faster
from saetui.sae.topk_dense import dense_outcome
from saetui.sae.topk_sparse import AuxK, TopKOutcome, sparse_outcome


class TopKSAE(SparseAutoencoder):
    """z = the k largest of h, through relu; loss = recon, and AuxK while latents are dead. No penalty.

    With `decoder_norm: free` the choice is still by h: the norm then says how much a latent adds, h whether
    it is chosen. (SAELens chooses by h·n_i. With unit rows the two are one.)
    """

    architecture = "topk"

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        k: int,
        aux_k: int | None = None,
        aux_k_alpha: float = 1 / 32,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
    ) -> None:
        """As the base; and:

        Args:
            d_in: see the base.
            d_out: see the base.
            latents: see the base.
            generator: see the base.
            k: latents active on a token.
            aux_k: dead latents that reconstruct the residual; None for d_out // 2 (the paper's appendix A.2).
            aux_k_alpha: coefficient of that term; 0 turns it off.
            decoder_norm: see the base.
            firing_threshold: see the base.

        Raises:
            InvalidInput: k or aux_k is below 1, or k above the number of latents.
        """
        super().__init__(d_in, d_out, latents, generator, decoder_norm=decoder_norm, firing_threshold=firing_threshold)
        if not 1 <= k <= latents:
            raise InvalidInput(f"k is {k} with {latents} latents.", f"Choose 1 to {latents}.")
        if aux_k is not None and aux_k < 1:
            raise InvalidInput(f"aux_k is {aux_k}.", "Choose at least 1, or set aux_k_alpha to 0.")
        self.k = k
        self.aux_k = max(1, d_out // 2) if aux_k is None else aux_k
        self.aux_k_alpha = aux_k_alpha

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "k": self.k, "aux_k": self.aux_k, "aux_k_alpha": self.aux_k_alpha}

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""
        h = self.pre_activations(x)
        values, indices = h.topk(self.k, dim=1, sorted=False)
        return torch.zeros_like(h).scatter(1, indices, values.relu())

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
        """Terms: recon, and aux unless `aux_k_alpha` is 0. See the base for the arguments.

        aux = aux_k_alpha · min(dead/aux_k, 1) · mean((ê − e)²) / mean(e²): the aux_k largest of h among the dead
        latents, through relu, give ê = z_aux·W_dec for the detached residual e = x − x̂.
        """
        del sparsity_coefficient
        y = x if target is None else target
        outcome = self._outcome(x, y, dead if self.aux_k_alpha > 0 else None, whole_batch, path)
        terms = {"recon": outcome.recon}
        if self.aux_k_alpha > 0:
            terms["aux"] = outcome.aux
        statistics = BatchStatistics(
            tokens=x.shape[0],
            squared_error=outcome.recon.detach() * y.numel(),
            l1=outcome.l1,
            fired=outcome.fired,
        )
        return Losses(terms, statistics)

    def survey(self, pieces: Iterator[tuple[Tensor, Tensor | None]]) -> WholeBatch | None:
        """The whole batch's mean-square residual, by one pass without gradients (while latents are dead)."""
        if self.aux_k_alpha <= 0:
            return None
        squared_error, numel = self.b_dec.new_zeros(()), 0
        for x, target in pieces:
            squared_error = squared_error + self.measure(x, target).statistics.squared_error
            numel += x.shape[0] * self.d_out
        return WholeBatch(squared_error / numel)

    def _outcome(
        self, x: Tensor, y: Tensor, dead: DeadSet | None, whole_batch: WholeBatch | None, path: Path
    ) -> TopKOutcome:
        aux = None
        if dead is not None:
            aux = AuxK(
                dead=dead.indices,
                count=min(self.aux_k, dead.count),
                coefficient=self.aux_k_alpha * min(dead.count / self.aux_k, 1.0),
                residual_mean_square=None if whole_batch is None else whole_batch.residual_mean_square,
            )
        sparse = sparse_is_faster(self.k, self.latents) if path == "auto" else path == "sparse"
        return (sparse_outcome if sparse else dense_outcome)(self, x, y, self.k, aux)
