"""How good the SAEs are on text that was never trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from saetui.activations import Predictor, Splice, TokenDataset, TokenLoss, Unavailable, cross_entropy, extract_rows
from saetui.jobs.pieces import contexts_at_a_time
from saetui.sae import IntervalSums
from saetui.training.stream import kind_of

if TYPE_CHECKING:
    import torch

    from saetui.activations import ActivationExtractor, LanguageModel
    from saetui.sae import Losses, SparseAutoencoder
    from saetui.training.pairs import Pair

EVALUATION_TOKENS = 32_768
"""Enough for an FVU that is steady in its third digit, and a few seconds at most on two cores."""
LOWEST_BIN = -7
NEVER = "never_fired"


class Judged(Protocol):
    """What is evaluated: an SAE in training, or a finished one."""

    @property
    def pair(self) -> Pair:
        """What it reads, and what it predicts."""

    @property
    def sae(self) -> SparseAutoencoder: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def latents(self) -> int: ...

    @property
    def dead(self) -> int:
        """How many latents are dead at this moment."""

    @property
    def splice(self) -> Splice:
        """The SAE in its place in the model."""

    def measure(self, rows: Mapping[str, Tensor]) -> tuple[Tensor, Losses]:
        """The targets, and what the SAE makes of the inputs; rows by site, raw."""


class HeldOut:
    """Evaluates every site of a job on the same held-out contexts."""

    def __init__(
        self,
        model: LanguageModel,
        extractor: ActivationExtractor,
        dataset: TokenDataset,
        tokens: int = EVALUATION_TOKENS,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """
        Args:
            model: up to the last site, or whole.
            extractor: reads the sites.
            dataset: whose held-out contexts are taken.
            tokens: how many, or all that there are.
            tell: takes a sentence, once, when there is no room for the whole model and so no cross-entropy.
        """
        count = max(1, tokens // dataset.context_length)
        self._contexts = spread(dataset.held_out, count)
        self._at_a_time = contexts_at_a_time(kind_of(model.device), dataset.context_length)
        self._predictor = Predictor(model)
        self._tell = tell
        self._told = False
        self._extractor = extractor
        self._dataset = dataset
        self._clean: float | None = None
        self._zero: dict[str, float] = {}
        self._latest: dict[str, dict[str, float]] = {}

    def evaluate(self, trainers: Mapping[str, Judged]) -> dict[str, dict[str, float]]:
        """The held-out metrics of each site; cross-entropy where the model predicts tokens and there is room for all of it."""
        sums = {
            site: IntervalSums(trainer.latents, trainer.sae.d_out, trainer.device) for site, trainer in trainers.items()
        }
        for rows in extract_rows(self._extractor, self._dataset, self._contexts, micro_batch=self._at_a_time):
            for site, total in sums.items():
                total.add(*trainers[site].measure(rows))
        measured = {site: _metrics(total, trainers[site]) for site, total in sums.items()}
        if self._predictor.can_predict:
            with self._predictor.opened() as whole:
                if isinstance(whole, Unavailable):
                    self._say_once(f"There is no cross-entropy: {whole.reason}.")
                else:
                    for site, trainer in trainers.items():
                        measured[site] |= self._cross_entropy(whole, trainer)
        self._latest = measured
        return measured

    @property
    def contexts(self) -> NDArray[np.int64]:
        """The held-out contexts that are judged, in order."""
        return self._contexts

    @property
    def latest(self) -> Mapping[str, Mapping[str, float]]:
        """What the last evaluation of this process found; empty before the first."""
        return self._latest

    def _say_once(self, sentence: str) -> None:
        if not self._told:
            self._told = True
            self._tell(sentence)

    def _cross_entropy(self, model: LanguageModel, trainer: Judged) -> dict[str, float]:
        """In nats a token, with the SAE in place of what it predicts; recovered = (ce_zero − ce_sae)/(ce_zero − ce_clean)."""
        target = trainer.pair.target
        if self._clean is None:
            self._clean = self._mean_loss(model, [])
        if target.name not in self._zero:
            self._zero[target.name] = self._mean_loss(model, [Splice(target, None)])
        clean, zero = self._clean, self._zero[target.name]
        spliced = self._mean_loss(model, [trainer.splice])
        values = {"ce_clean": clean, "ce_sae": spliced, "ce_zero": zero}
        if zero != clean:
            values["ce_recovered"] = (zero - spliced) / (zero - clean)
        return values

    def _mean_loss(self, model: LanguageModel, splices: Sequence[Splice]) -> float:
        loss = TokenLoss()
        for start in range(0, len(self._contexts), self._at_a_time):
            batch = self._dataset.read(self._contexts[start : start + self._at_a_time])
            loss += cross_entropy(model, batch, splices)
        return loss.mean


def _metrics(sums: IntervalSums, trainer: Judged) -> dict[str, float]:
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


def spread(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """At most `count` of the indices, spread evenly over all of them."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).astype(np.int64)]
