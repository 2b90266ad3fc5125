"""`transcoder`: predicts an MLP's output from its input (Dunefsky et al. 2024, arXiv 2406.11944)."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.kernels.relu_losses import l1_losses
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.topk import TopKSAE


class Transcoder(TopKSAE):
    """ŷ = z·W_dec + b_dec for h = x·W_enc + b_enc; sparse by the k largest, with AuxK, or by an L1 penalty.

    The target is another thing than the input, and always named: nothing is ever compared with x by default.
    """

    architecture = "transcoder"
    centres_input = False

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        k: int | None = None,
        aux_k: int | None = None,
        aux_k_alpha: float = 1 / 32,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
    ) -> None:
        """As topk; but without a k every latent may be active, and an L1 penalty holds them down.

        AuxK goes with k: without one, the two options of it are kept and not used.
        """
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            k=latents if k is None else k,
            aux_k=aux_k,
            aux_k_alpha=aux_k_alpha,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
        )
        self.by_l1 = k is None

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "k": None if self.by_l1 else self.k}

    @property
    def sparsity_hyperparameter(self) -> str | None:
        """`l1_alpha` where there is no k."""
        return "l1_alpha" if self.by_l1 else None

    def encode(self, x: Tensor) -> Tensor:
        """z for x (B, d_in), dense: shape (B, F)."""
        return self.pre_activations(x).relu() if self.by_l1 else super().encode(x)

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
        y = self._named(target)
        if self.by_l1:
            return self._l1_loss(x, y, sparsity_coefficient, path)
        return super().loss(x, y, dead=dead, whole_batch=whole_batch, path=path)

    def needs_batch_residual(self, dead: DeadSet | None) -> bool:
        """As topk; by L1 every term is a plain mean over tokens."""
        return not self.by_l1 and super().needs_batch_residual(dead)

    def _named(self, target: Tensor | None) -> Tensor:
        if target is None:
            raise InvalidInput(
                f"{self.architecture} was given no target.", "Give it what it is to predict: the MLP's output."
            )
        return target

    def _l1_loss(self, x: Tensor, y: Tensor, coefficient: float, path: Path) -> Losses:
        outcome = l1_losses(self, x, y, path)
        statistics = BatchStatistics(
            tokens=x.shape[0],
            errors=outcome.residual.square().sum(1),
            l1=outcome.l1.detach() * x.shape[0],
            fired=outcome.fired,
            not_zero=outcome.active,
        )
        return Losses({"recon": outcome.recon, "sparsity": coefficient * outcome.l1}, statistics)
