"""`topk`: the k largest pre-activations of each token (Gao et al. 2024, arXiv 2406.04093), with AuxK for dead latents."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, SparseAutoencoder, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.selection import LargestOfEach, Selection
from saetui.sae.kernels.sparse import sparse_is_faster
from saetui.sae.kernels.topk_dense import dense_outcome
from saetui.sae.kernels.topk_sparse import AuxK, sparse_outcome
from saetui.sae.losses import BatchStatistics, Losses


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

    @property
    def widths(self) -> tuple[int, ...]:
        """The prefixes of the latents that reconstruct each for themselves: all latents, and nothing else."""
        return (self.latents,)

    def selection(self, tokens: int, whole_batch: WholeBatch | None) -> Selection:
        """Which latents are kept on a training batch.

        Args:
            tokens: of this batch, or micro-batch.
            whole_batch: facts of the batch that it is a part of; None where it is all of it.
        """
        del tokens, whole_batch
        return LargestOfEach(self.k)

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""
        return LargestOfEach(self.k).dense(self.pre_activations(x))

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
        selection = self.selection(x.shape[0], whole_batch)
        return self.losses_of(selection, x, x if target is None else target, dead, whole_batch, path)

    def losses_of(
        self,
        selection: Selection,
        x: Tensor,
        y: Tensor,
        dead: DeadSet | None,
        whole_batch: WholeBatch | None,
        path: Path,
    ) -> Losses:
        """`loss` with the given selection of latents, and y (B, d_out) as the target."""
        aux = self._aux(dead, whole_batch)
        sparse = sparse_is_faster(self.k, self.latents) if path == "auto" else path == "sparse"
        outcome = (sparse_outcome if sparse else dense_outcome)(self, x, y, selection, self.widths, aux)
        terms = {"recon": outcome.recon}
        if self.aux_k_alpha > 0:
            terms["aux"] = outcome.aux
        statistics = BatchStatistics(
            tokens=x.shape[0],
            errors=outcome.errors,
            l1=outcome.l1,
            fired=outcome.fired,
            smallest_kept=outcome.smallest,
            not_zero=outcome.active,
        )
        return Losses(terms, statistics)

    def needs_batch_residual(self, dead: DeadSet | None) -> bool:
        """While latents are dead AuxK divides by it."""
        return dead is not None and self.aux_k_alpha > 0

    def _aux(self, dead: DeadSet | None, whole_batch: WholeBatch | None) -> AuxK | None:
        if dead is None or self.aux_k_alpha <= 0:
            return None
        return AuxK(
            dead=dead.indices,
            count=min(self.aux_k, dead.count),
            coefficient=self.aux_k_alpha * min(dead.count / self.aux_k, 1.0),
            residual_mean_square=None if whole_batch is None else whole_batch.residual_mean_square,
        )
