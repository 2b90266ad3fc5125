"""`topk`: the k largest pre-activations of each token (Gao et al. 2024, arXiv 2406.04093), with AuxK for dead latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import BatchContext, SparseAutoencoder, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.selected import AuxK, selected_losses
from saetui.sae.kernels.selection import LargestOfEach, Selection
from saetui.sae.kernels.sparse import sparse_is_faster
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.options import Options, Sizes

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class TopKOptions(Options):
    """Those of all architectures, and:

    Attributes:
        k: latents active on a token (on average, where the choice is over a batch).
        aux_k: dead latents that reconstruct the residual; None for d_out // 2 (the paper's appendix A.2).
        aux_k_alpha: coefficient of that term; 0 turns it off.
    """

    k: int | None
    aux_k: int | None = None
    aux_k_alpha: float = 1 / 32

    def fitted(self, sizes: Sizes) -> Self:
        """Fills in aux_k. Refuses k or aux_k below 1, and k above the number of latents."""
        if self.k is None or not 1 <= self.k <= sizes.latents:
            raise InvalidInput(f"k is {self.k} with {sizes.latents} latents.", f"Choose 1 to {sizes.latents}.")
        aux_k = max(1, sizes.d_out // 2) if self.aux_k is None else self.aux_k
        if aux_k < 1:
            raise InvalidInput(f"aux_k is {aux_k}.", "Choose at least 1, or set aux_k_alpha to 0.")
        return replace(super().fitted(sizes), aux_k=aux_k)


class TopKSAE(SparseAutoencoder):
    """z = the k largest of h, through relu; loss = recon, and AuxK while latents are dead. No penalty.

    With `decoder_norm: free` the choice is still by h: the norm then says how much a latent adds, h whether
    it is chosen. (SAELens chooses by h·n_i. With unit rows the two are one.)

    AuxK is aux_k_alpha · min(dead/aux_k, 1) · mean((ê − e)²) / mean(e²): the aux_k largest of h among the dead latents,
    through relu, give ê = z_aux·W_dec for the detached residual e = x − x̂.
    """

    architecture = "topk"
    options_type = TopKOptions
    options: TopKOptions

    @property
    def k(self) -> int:
        """Latents that may be active on a token."""
        return self.latents if self.options.k is None else self.options.k

    @property
    def widths(self) -> tuple[int, ...]:
        """The prefixes of the latents that each reconstruct alone: all latents, and nothing else."""
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

    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """Terms: recon, and aux unless `aux_k_alpha` is 0."""
        return self.losses_of(self.selection(x.shape[0], context.whole_batch), x, y, context)

    def losses_of(self, selection: Selection, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """`losses` with the given selection of latents."""
        aux = self._aux(context.dead, context.whole_batch)
        sparse = sparse_is_faster(self.k, self.latents) if context.path == "auto" else context.path == "sparse"
        outcome = selected_losses(x, y, self.weights(), selection, self.widths, aux, sparse=sparse)
        terms = {"recon": outcome.recon}
        if self.options.aux_k_alpha > 0:
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
        return dead is not None and self.options.aux_k_alpha > 0

    def _aux(self, dead: DeadSet | None, whole_batch: WholeBatch | None) -> AuxK | None:
        aux_k, alpha = self.options.aux_k, self.options.aux_k_alpha
        if dead is None or aux_k is None or alpha <= 0:
            return None
        return AuxK(
            dead=dead.indices,
            count=min(aux_k, dead.count),
            coefficient=alpha * min(dead.count / aux_k, 1.0),
            residual_mean_square=None if whole_batch is None else whole_batch.residual_mean_square,
        )
