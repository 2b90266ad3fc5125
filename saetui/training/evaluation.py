"""How good the SAEs are on held-out text; and before that, the thresholds of those that chose over a batch in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from saetui.activations import NoWholeModel, Splice, TokenDataset, TokenLoss, WholeModel, cross_entropy, extract_rows
from saetui.sae import IntervalSums
from saetui.sae.batch_topk import BatchTopKSAE, ThresholdSearch
from saetui.spec.settings import contexts_per_pass
from saetui.training.sinks import find_sinks
from saetui.training.stream import kind_of

if TYPE_CHECKING:
    from saetui.activations import ActivationExtractor, LanguageModel
    from saetui.sae import SparseAutoencoder
    from saetui.training.pairs import Measured, Pair, Units
    from saetui.training.site import SiteTrainer

EVALUATION_TOKENS = 32_768
"""Enough for an FVU that is steady in its third digit; takes a few seconds at most on two cores."""
CALIBRATION_TOKENS = 16_384
"""Half the tokens of an evaluation. On the bundled model, 300 steps, k = 32: L0 on the judged text was 31.8, 32.4, 32.5 and 32.05
with 2,048, 4,096, 8,192 and 16,384 tokens. It costs one of the model's passes over them, where an evaluation takes four over
twice as many with its cross-entropy: an eighth more."""
LOWEST_BIN = -7
NEVER = "never_fired"


class Judged(Protocol):
    """An SAE that is evaluated: one in training, or a finished one."""

    pair: Pair
    units: Units
    sae: SparseAutoencoder

    @property
    def dead(self) -> int | None:
        """How many latents are dead at this moment; None where no training keeps count."""

    @property
    def splice(self) -> Splice:
        """The SAE in its place in the model."""

    def measure(self, rows: Mapping[str, Tensor]) -> Measured:
        """How the SAE does on raw rows by site."""


class _Figures:
    """The sums behind the figures of one SAE: over its ordinary tokens, by which it is judged, and over all tokens."""

    def __init__(self, judged: Judged) -> None:
        self._judged = judged
        sizes = (judged.sae.latents, judged.sae.d_out, judged.sae.W_dec.device)
        self._ordinary, self._all = IntervalSums(*sizes), IntervalSums(*sizes)

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Add raw rows by site."""
        pair, units = self._judged.pair, self._judged.units
        mine = {site.name: rows[site.name] for site in (pair.source, pair.target)}
        sinks = find_sinks(pair, units, mine)
        if not bool(sinks.any()):
            self._add(mine, ordinary=True)
            return
        for chosen, ordinary in ((~sinks, True), (sinks, False)):
            if bool(chosen.any()):
                self._add({name: values[chosen] for name, values in mine.items()}, ordinary=ordinary)

    def _add(self, rows: Mapping[str, Tensor], *, ordinary: bool) -> None:
        measured = self._judged.measure(rows)
        self._all.add(*measured)
        if ordinary:
            self._ordinary.add(*measured)

    def read(self) -> dict[str, float]:
        """fvu, r2, l0 and densities over all ordinary rows at once, fvu_all over all rows, and the share of sinks.

        Raises:
            InvalidInput: there were no ordinary rows.
        """
        tokens, ordinary = self._all.tokens, self._ordinary.tokens
        densities, numbers = self._ordinary.densities, self._ordinary.read()
        figures: dict[str, float] = {name: numbers[name] for name in ("fvu", "r2", "l0") if name in numbers}
        of_all = self._all.read()
        if "fvu" in of_all:
            figures["fvu_all"] = of_all["fvu"]
        if self._judged.units.have_limits:
            figures["sink_fraction"] = 1.0 - ordinary / tokens
        if (dead := self._judged.dead) is not None:
            figures |= {"dead": float(dead), "dead_fraction": dead / self._judged.sae.latents}
        never = float((densities == 0).double().mean())
        return {**figures, "tokens": float(tokens), NEVER: never, **_histogram(densities)}


class HeldOut:
    """Evaluates every site of a job on the same held-out contexts."""

    def __init__(
        self,
        model: LanguageModel,
        extractor: ActivationExtractor,
        dataset: TokenDataset,
        tokens: int = EVALUATION_TOKENS,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """Takes so many held-out `tokens`, or as many as there are. The `model` may end at the last site.

        `report` takes a sentence, once, where the memory is too small for the whole model and so for a cross-entropy.
        """
        count = max(1, tokens // dataset.context_length)
        self._contexts = spread(dataset.held_out, count)
        self._at_a_time = contexts_per_pass(kind_of(model.device), dataset.context_length)
        self._whole_model = WholeModel(model)
        self._report = report
        self._reported = False
        self._extractor = extractor
        self._dataset = dataset
        self._clean: float | None = None
        self._zero: dict[tuple[Pair, Units], float] = {}
        self._latest: dict[str, dict[str, float]] = {}

    def evaluate(
        self, trainers: Mapping[str, Judged], progress: Callable[[float], None] = lambda share: None
    ) -> dict[str, dict[str, float]]:
        """The held-out metrics of each site; cross-entropy where the model predicts tokens and the memory holds all of it.

        `progress`: called with the share of the passes over the held-out text that is done.
        """
        passes = 1 + (len(trainers) if self._whole_model.can_predict else 0)
        figures = {site: _Figures(trainer) for site, trainer in trainers.items()}
        for rows in _blocks(self._extractor, self._dataset, self._contexts):
            for sums in figures.values():
                sums.add(rows)
        measured = {site: sums.read() for site, sums in figures.items()}
        progress(1 / passes)
        if self._whole_model.can_predict:
            with self._whole_model.opened() as whole:
                if isinstance(whole, NoWholeModel):
                    self._report_once(f"There is no cross-entropy: {whole.reason}.")
                else:
                    for done, (site, trainer) in enumerate(trainers.items(), start=2):
                        measured[site] |= self._cross_entropy(whole, trainer)
                        progress(done / passes)
        self._latest = measured
        return measured

    @property
    def contexts(self) -> NDArray[np.int64]:
        """The held-out contexts of every evaluation, in order."""
        return self._contexts

    @property
    def latest(self) -> Mapping[str, Mapping[str, float]]:
        """The figures of the last evaluation in this process; empty before the first."""
        return self._latest

    def _report_once(self, sentence: str) -> None:
        if not self._reported:
            self._reported = True
            self._report(sentence)

    def _cross_entropy(self, model: LanguageModel, trainer: Judged) -> dict[str, float]:
        """In nats a token, with the SAE's prediction in place of its target; recovered = (ce_zero − ce_sae)/(ce_zero − ce_clean).

        Sinks keep their own activations, as special tokens do, under the SAE and under the zeros: the SAE never learned them.
        """
        splice = trainer.splice
        if self._clean is None:
            self._clean = self._mean_loss(model, [])
        replaced = (trainer.pair, trainer.units)
        if replaced not in self._zero:
            self._zero[replaced] = self._mean_loss(model, [dataclasses.replace(splice, function=None)])
        clean, zero = self._clean, self._zero[replaced]
        spliced = self._mean_loss(model, [splice])
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


class Calibration:
    """Searches the thresholds of batch_topk and matryoshka, one number each, on held-out contexts that no evaluation judges.

    At inference they give the L0 of training; an evaluation then shows how good they are on other text. Where it needs nearly all
    held-out contexts, and less than a quarter of `CALIBRATION_TOKENS` is left, the judged contexts are used too.
    """

    def __init__(self, extractor: ActivationExtractor, dataset: TokenDataset, judged: NDArray[np.int64]) -> None:
        """`judged`: the contexts of the evaluations, in order."""
        unjudged = np.setdiff1d(dataset.held_out, judged, assume_unique=True)
        enough = int(dataset.kept[unjudged].sum()) >= CALIBRATION_TOKENS // 4
        count = max(1, CALIBRATION_TOKENS // dataset.context_length)
        self.contexts = spread(unjudged if enough else dataset.held_out, count)
        self._extractor = extractor
        self._dataset = dataset

    def calibrate(self, trainers: Mapping[str, SiteTrainer]) -> None:
        """Set each SAE's threshold for its present weights, until its next step; the running threshold of the training stays.

        Raises:
            StopRequested: in an interruptible block; the thresholds are as before.
        """
        most = len(self.contexts) * self._dataset.context_length
        searches = {
            site: (sae, ThresholdSearch(sae, most))
            for site, trainer in trainers.items()
            if isinstance(sae := trainer.sae, BatchTopKSAE) and sae.calibrated is None
        }
        if not searches:
            return
        for rows in _blocks(self._extractor, self._dataset, self.contexts):
            for site, (_, search) in searches.items():
                search.add(trainers[site].inputs(rows))
        for sae, search in searches.values():
            sae.calibrated = search.result()


def _blocks(
    extractor: ActivationExtractor, dataset: TokenDataset, contexts: NDArray[np.int64]
) -> Iterator[dict[str, Tensor]]:
    at_a_time = contexts_per_pass(kind_of(extractor.model.device), dataset.context_length)
    return extract_rows(extractor, dataset, contexts, micro_batch=at_a_time)


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
