"""`matryoshka`: nested prefixes of the latents that each reconstruct alone (Bussmann et al. 2025, arXiv 2503.17547)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from saetui.errors import InvalidInput
from saetui.formats.step_sizes import PREFIX_SHARES
from saetui.sae.base import DecoderNorm, Option
from saetui.sae.batch_topk import BatchTopKSAE


class MatryoshkaSAE(BatchTopKSAE):
    """As batch_topk, but recon is the mean over prefixes: the first w latents must do by themselves, for each w.

    Wide concepts then stay in the first latents, where no narrower ones can take parts of them away. Statistics,
    `encode` and `decode` are of all latents.
    """

    architecture = "matryoshka"

    def __init__(
        self,
        d_in: int,
        d_out: int,
        latents: int,
        generator: torch.Generator,
        *,
        k: int,
        widths: Sequence[int] | None = None,
        aux_k: int | None = None,
        aux_k_alpha: float = 1 / 32,
        decoder_norm: DecoderNorm = "unit",
        firing_threshold: float = 0.0,
    ) -> None:
        """As batch_topk; and `widths`: sizes of the prefixes, the last all latents; None for 1/16, 1/8 … 1 of them.

        Raises:
            InvalidInput: the widths do not rise to the number of latents.
        """
        super().__init__(
            d_in,
            d_out,
            latents,
            generator,
            k=k,
            aux_k=aux_k,
            aux_k_alpha=aux_k_alpha,
            decoder_norm=decoder_norm,
            firing_threshold=firing_threshold,
        )
        default = sorted({max(1, round(fraction * latents)) for fraction in PREFIX_SHARES})
        self._widths = tuple(default if widths is None else widths)
        rising = all(low < high for low, high in zip((0, *self._widths), self._widths))
        if not rising or not self._widths or self._widths[-1] != latents:
            raise InvalidInput(
                f"The widths {', '.join(map(str, self._widths)) or '(none)'} do not rise to {latents} latents.",
                f"Give whole numbers, each larger than the one before, the last {latents}.",
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The prefixes of the latents that reconstruct each for themselves."""
        return self._widths

    @property
    def options(self) -> dict[str, Option]:
        """The keyword arguments that this SAE was made with."""
        return {**super().options, "widths": list(self._widths)}
