"""`skip`: a ReLU autoencoder that is given a share of its own input while it trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae.base import BatchContext
from saetui.sae.losses import Losses
from saetui.sae.options import Sizes
from saetui.sae.standard import StandardOptions, StandardSAE

if TYPE_CHECKING:
    from typing_extensions import Self

_LARGEST = 0.5


@dataclass(frozen=True, kw_only=True)
class SkipOptions(StandardOptions):
    """Those of standard, and:

    Attributes:
        skip_coeff: c, 0 to 0.5.
    """

    skip_coeff: float = 0.1

    def fitted(self, sizes: Sizes) -> Self:
        """Refuses a c out of its limits, and a target that is not the input."""
        if not 0.0 <= self.skip_coeff <= _LARGEST:
            raise InvalidInput(f"skip_coeff is {self.skip_coeff}.", f"Choose 0 to {_LARGEST}.")
        if sizes.d_in != sizes.d_out:
            raise InvalidInput(
                f"skip cannot copy an input of width {sizes.d_in} to width {sizes.d_out}.", "Use skip_transcoder."
            )
        return super().fitted(sizes)


class SkipSAE(StandardSAE):
    """`standard`, with x̂ = (1 − c)·decode(z) + c·x in the loss, c = `skip_coeff`.

    x − x̂ = (1 − c)·(x − decode(z)): the copied share only shrinks the error, by one factor for all tokens. So the loss
    is standard's with the error's terms times (1 − c)², and a larger c is a heavier penalty. `decode`, `forward` and the
    statistics from which metrics are made are those of decode(z) alone: the latents have not earned the copy.
    """

    architecture = "skip"
    options_type = SkipOptions
    options: SkipOptions

    def goal(self, x: Tensor, target: Tensor | None) -> Tensor:
        """x itself, which is copied."""
        if target is not None and target is not x:
            raise InvalidInput("skip copies its input: it has no other target.", "Use skip_transcoder.")
        return x

    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        """Terms as standard's, recon and aux times (1 − c)²."""
        losses = super().losses(x, y, context)
        share = (1.0 - self.options.skip_coeff) ** 2
        terms = {name: term if name == "sparsity" else term * share for name, term in losses.terms.items()}
        return Losses(terms, losses.statistics)
