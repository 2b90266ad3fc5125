"""The units of each SAE: how raw activations become what it works with, measured before the first step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from saetui.errors import TrainingError
from saetui.sae import Normalization, ScaleEstimator
from saetui.training.pairs import Pair

CONSTANT, LAYER = "constant_norm", "layer_norm"


@dataclass(frozen=True)
class Units:
    """The normalisation of an SAE's input, and of what it predicts."""

    source: Normalization
    target: Normalization

    @property
    def description(self) -> dict[str, dict[str, str | float]]:
        """Both, as JSON; `Units.of` makes the same again."""
        return {"source": dict(self.source.description), "target": dict(self.target.description)}

    @staticmethod
    def of(description: Mapping[str, Mapping[str, Any]]) -> Units:
        """What `description` describes."""
        return Units(Normalization(**description["source"]), Normalization(**description["target"]))


def measure_units(
    pairs: Sequence[Pair], kind: str, sample: Iterator[Mapping[str, Tensor]]
) -> tuple[dict[str, Units], Mapping[str, Tensor]]:
    """The units of each SAE by its name, and the first block of raw activations, which b_dec starts from.

    A transcoder cannot know the mean and deviation of a token's target: with layer_norm its target has one scale.

    Args:
        pairs: what each SAE reads and predicts.
        kind: constant_norm, layer_norm or none.
        sample: raw activations of training text by site, shape (n, d), without end.

    Raises:
        TrainingError: the activations of a site are not finite.
        InvalidInput: they are all 0.
    """
    kinds = {pair.source.name: kind for pair in pairs}
    kinds |= {pair.target.name: CONSTANT if kind == LAYER else kind for pair in pairs if pair.is_transcoder}
    first = next(sample)
    for site in kinds:
        _refuse_non_finite(site, first[site])
    known = _measure([site for site, wanted in kinds.items() if wanted == CONSTANT], first, sample)
    known |= {
        site: Normalization("layer_norm" if wanted == LAYER else "none")
        for site, wanted in kinds.items()
        if wanted != CONSTANT
    }
    return {pair.name: Units(known[pair.source.name], known[pair.target.name]) for pair in pairs}, first


def _refuse_non_finite(site: str, rows: Tensor) -> None:
    if not bool(rows.isfinite().all()):
        raise TrainingError(
            f"The model's activations at {site} are not finite.",
            "Choose float32 or bfloat16 as the dtype (float16 overflows); if that changes nothing, the weights are damaged.",
        )


def _measure(
    sites: Sequence[str], first: Mapping[str, Tensor], sample: Iterator[Mapping[str, Tensor]]
) -> dict[str, Normalization]:
    estimators = {site: ScaleEstimator(first[site].shape[1]) for site in sites}
    block = first
    while True:
        # A site that is known well enough takes no more, so that its scale does not depend on the other sites.
        unsettled = [name for name, estimator in estimators.items() if not estimator.settled]
        if not unsettled:
            return {name: estimator.result() for name, estimator in estimators.items()}
        for name in unsettled:
            _refuse_non_finite(name, block[name])
            estimators[name].add(block[name])
        block = next(sample)
