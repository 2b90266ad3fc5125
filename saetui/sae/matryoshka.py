"""`matryoshka`: nested prefixes of the latents that each reconstruct alone (Bussmann et al. 2025, arXiv 2503.17547)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from saetui.errors import InvalidInput
from saetui.formats.step_sizes import PREFIX_SHARES
from saetui.sae.batch_topk import BatchTopKSAE
from saetui.sae.options import Sizes
from saetui.sae.topk import TopKOptions

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, kw_only=True)
class MatryoshkaOptions(TopKOptions):
    """Those of batch_topk, and:

    Attributes:
        widths: sizes of the prefixes, the last all latents; None for 1/16, 1/8 … 1 of them.
    """

    widths: Sequence[int] | None = None

    def fitted(self, sizes: Sizes) -> Self:
        """Fills in the widths. Refuses widths that do not rise to the number of latents."""
        default = sorted({max(1, round(share * sizes.latents)) for share in PREFIX_SHARES})
        widths = tuple(default if self.widths is None else self.widths)
        rising = all(low < high for low, high in zip((0, *widths), widths))
        if not rising or not widths or widths[-1] != sizes.latents:
            raise InvalidInput(
                f"The widths {', '.join(map(str, widths)) or '(none)'} do not rise to {sizes.latents} latents.",
                f"Give whole numbers, each larger than the one before, the last {sizes.latents}.",
            )
        return replace(super().fitted(sizes), widths=widths)


class MatryoshkaSAE(BatchTopKSAE):
    """As batch_topk, but recon is the mean over prefixes: the first w latents must do by themselves, for each w.

    Wide concepts then stay in the first latents, where no narrower ones can take parts of them away. Statistics,
    `encode` and `decode` are of all latents.
    """

    architecture = "matryoshka"
    options_type = MatryoshkaOptions
    options: MatryoshkaOptions

    @property
    def widths(self) -> tuple[int, ...]:
        """The prefixes of the latents that each reconstruct alone."""
        return tuple(self.options.widths or ())
