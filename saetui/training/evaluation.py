"""How good the SAEs are on text that was never trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from saetui.activations import Site, Splice, TokenDataset, cross_entropy, extract_rows
from saetui.sae import IntervalSums

if TYPE_CHECKING:
    from saetui.activations import ActivationExtractor, LanguageModel
    from saetui.training.site import SiteTrainer

EVALUATION_TOKENS = 32_768
"""Enough for an FVU that is steady in its third digit, and a few seconds at most on two cores."""
MICRO_BATCH = 16
LOWEST_BIN = -7
NEVER = "never_fired"


class HeldOut:
    """Evaluates every site of a job on the same held-out contexts."""

    def __init__(self, model: LanguageModel, extractor: ActivationExtractor, dataset: TokenDataset) -> None:
        count = max(1, EVALUATION_TOKENS // dataset.context_length)
        self._contexts = _spread(dataset.held_out, count)
        self._model = model
        self._extractor = extractor
        self._dataset = dataset
        self._clean: float | None = None
        self._zero: dict[str, float] = {}

    def evaluate(self, trainers: Mapping[str, SiteTrainer]) -> dict[str, dict[str, float]]:
        """The held-out metrics of each site; cross-entropy only where the model predicts tokens."""
        sums = {
            site: IntervalSums(trainer.latents, trainer.sae.d_out, trainer.device) for site, trainer in trainers.items()
        }
        for rows in extract_rows(self._extractor, self._dataset, self._contexts, micro_batch=MICRO_BATCH):
            for site, total in sums.items():
                total.add(*trainers[site].measure(rows[site]))
        measured = {site: _metrics(total, trainers[site]) for site, total in sums.items()}
        if self._model.can_predict:
            for site, trainer in trainers.items():
                measured[site] |= self._cross_entropy(Site.parse(site), trainer)
        return measured

    def _cross_entropy(self, site: Site, trainer: SiteTrainer) -> dict[str, float]:
        """In nats a token; recovered = (ce_zero − ce_sae) / (ce_zero − ce_clean)."""
        if self._clean is None:
            self._clean = self._mean_loss([])
        if site.name not in self._zero:
            self._zero[site.name] = self._mean_loss([Splice(site, None)])
        clean, zero = self._clean, self._zero[site.name]
        spliced = self._mean_loss([Splice(site, trainer.reconstruct)])
        values = {"ce_clean": clean, "ce_sae": spliced, "ce_zero": zero}
        if zero != clean:
            values["ce_recovered"] = (zero - spliced) / (zero - clean)
        return values

    def _mean_loss(self, splices: Sequence[Splice]) -> float:
        total, tokens = 0.0, 0
        for start in range(0, len(self._contexts), MICRO_BATCH):
            batch = self._dataset.read(self._contexts[start : start + MICRO_BATCH])
            loss = cross_entropy(self._model, batch.to(self._model.device), splices)
            total += loss.total
            tokens += loss.tokens
        return total / tokens


def _metrics(sums: IntervalSums, trainer: SiteTrainer) -> dict[str, float]:
    """fvu and r2 over all rows at once, l0, dead latents, and the histogram of densities."""
    densities, tokens = sums.densities, sums.tokens
    numbers = sums.read()
    dead = trainer.dead
    return {
        **{name: numbers[name] for name in ("fvu", "r2", "l0") if name in numbers},
        "dead": float(dead),
        "dead_fraction": dead / trainer.latents,
        "tokens": float(tokens),
        NEVER: float((densities == 0).double().mean()),
        **_histogram(densities),
    }


def _histogram(densities: Tensor) -> dict[str, float]:
    """The share of latents in each power of ten of density, shape (latents,) in."""
    firing = densities[densities > 0]
    exponents = firing.log10().floor().clamp(LOWEST_BIN, -1)
    return {
        f"density_{exponent}": float((exponents == exponent).sum()) / len(densities)
        for exponent in range(LOWEST_BIN, 0)
    }


def _spread(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the indices, spread evenly over all of them."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).astype(np.int64)]
