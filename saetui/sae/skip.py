"""`skip`: a ReLU autoencoder that is helped to a share of its own input while it trains."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import DecoderNorm, Option, Path, WholeBatch
from saetui.sae.dead import DeadSet
from saetui.sae.losses import Losses
from saetui.sae.standard import StandardSAE

_LARGEST = 0.5


class SkipSAE(StandardSAE):
    """`standard`, with x̂ = (1 − c)·decode(z) + c·x in the loss, c = `skip_coeff`.

    x − x̂ = (1 − c)·(x − decode(z)): the copied share does nothing but shrink the error, by one factor for all tokens.
    So the loss is standard's with (1 − c)² before what is made of the error, and a larger c is a heavier penalty.
    `decode`, `forward` and the statistics that metrics are made of are those of decode(z) alone: the copy is no
    achievement of the latents.
    """

    architecture = "skip"

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        skip_coeff: float = 0.1,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
        tie_weights: bool = False,
        ghost_gradients: bool = False,
    ) -> None:
        """As standard; and `skip_coeff`: c, 0 to 0.5.

        Raises:
            InvalidInput: c is out of its limits, or the target would not be the input.
        """
        if not 0.0 <= skip_coeff <= _LARGEST:
            raise InvalidInput(f"skip_coeff is {skip_coeff}.", f"Choose 0 to {_LARGEST}.")
        if d_in != d_out:
            raise InvalidInput(f"skip cannot copy an input of width {d_in} to width {d_out}.", "Use skip_transcoder.")
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
            tie_weights=tie_weights,
            ghost_gradients=ghost_gradients,
        )
        self.skip_coeff = skip_coeff

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "skip_coeff": self.skip_coeff}

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
        """Terms as standard's, recon and aux times (1 − c)². See the base for the arguments.

        Raises:
            InvalidInput: a target that is not the input.
        """
        if target is not None and target is not x:
            raise InvalidInput("skip copies its input: it has no other target.", "Use skip_transcoder.")
        losses = super().loss(
            x, sparsity_coefficient=sparsity_coefficient, dead=dead, whole_batch=whole_batch, path=path
        )
        share = (1.0 - self.skip_coeff) ** 2
        terms = {name: term if name == "sparsity" else term * share for name, term in losses.terms.items()}
        return Losses(terms, losses.statistics)
