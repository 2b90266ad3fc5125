"""`transcoder`: predicts the output of an MLP from its input (Dunefsky et al. 2024, arXiv 2406.11944)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.relu import relu_losses
from saetui.sae.kernels.sparse_layers import is_sparse
from saetui.sae.losses import Losses, penalised
from saetui.sae.options import Sizes
from saetui.sae.topk import TopKOptions, TopKSAE

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class TranscoderOptions(TopKOptions):
    """Those of topk. Without a k every latent may be active, and an L1 penalty holds them down; AuxK is then not used."""

    k: int | None = None

    def fitted(self, sizes: Sizes) -> Self:
        """As topk's, and k stays None."""
        if self.k is not None:
            return super().fitted(sizes)
        return replace(replace(self, k=sizes.latents).fitted(sizes), k=None)


class Transcoder(TopKSAE):
    """ŷ = z·W_dec + b_dec for h = x·W_enc + b_enc; sparse by the k largest, with AuxK, or by an L1 penalty.

    The target is not the input, and must always be given: nothing is ever compared with x by default.
    """

    architecture = "transcoder"
    centres_input = False
    options_type = TranscoderOptions
    options: TranscoderOptions

    @property
    def by_l1(self) -> bool:
        """Whether a penalty and no k makes the codes sparse."""
        return self.options.k is None

    @property
    def sparsity_hyperparameter(self) -> str | None:
        """`l1_alpha` where there is no k."""
        return "l1_alpha" if self.by_l1 else None

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""
        return self.pre_activations(x).relu() if self.by_l1 else super().encode(x)

    def goal(self, x: Tensor, target: Tensor | None) -> Tensor:
        """The target, which must be given."""
        if target is None:
            raise InvalidInput(f"{self.architecture} was given no target.", "Pass its target, the MLP's output.")
        return target

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
        """Terms: recon = mean((ŷ − y)²), and by k aux as in topk, by L1 sparsity as in standard.

        Raises:
            InvalidInput: no target.
        """
        if not self.by_l1:
            return super().loss(x, target, dead=dead, whole_batch=whole_batch, path=path)
        y, weights = self.goal(x, target), self.weights()
        sparse = is_sparse(x, weights, 0.0) if path == "auto" else path == "sparse"
        return penalised(relu_losses(x, y, weights, sparse=sparse), sparsity_coefficient)

    def needs_batch_residual(self, dead: DeadSet | None) -> bool:
        """As topk; by L1 every term is a plain mean over tokens."""
        return not self.by_l1 and super().needs_batch_residual(dead)
