"""What each SAE of a job reads and predicts, and in which units: those are measured before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from saetui.activations import HookPoint, Site
from saetui.errors import TrainingError
from saetui.sae import Losses, Normalization, ScaleEstimator
from saetui.sae.normalization import Kind
from saetui.spec.architectures import TRANSCODER_TARGET, TRANSCODERS
from saetui.spec.training_spec import TrainingSpec

CONSTANT: Kind = "constant_norm"
LAYER: Kind = "layer_norm"


@dataclass(frozen=True)
class Pair:
    """The input and the target of one SAE.

    Attributes:
        source: the site that the SAE reads and is named after.
        target: the site that it predicts: the source itself, or for a transcoder the `mlp_out` of its layer.
    """

    source: Site
    target: Site

    @property
    def name(self) -> str:
        """The name of the SAE's site, e.g. `layer_2.resid_post`."""
        return self.source.name

    @property
    def is_transcoder(self) -> bool:
        """Whether the SAE predicts another site than it reads."""
        return self.source != self.target

    def input_of(self, rows: Mapping[str, Tensor]) -> Tensor:
        """The rows (n, d) that the SAE reads, among those of all sites."""
        return rows[self.source.name]

    def target_of(self, rows: Mapping[str, Tensor]) -> Tensor:
        """The rows (n, d) that it is to predict; row j is the same token as in the input."""
        return rows[self.target.name]


def pairs_of(spec: TrainingSpec) -> list[Pair]:
    """One for each site of a spec, in its order."""
    return [pair_of(Site.parse(name), spec.architecture) for name in spec.sites]


def pair_of(site: Site, architecture: str) -> Pair:
    """What an SAE of this architecture at this site reads and predicts."""
    target = HookPoint(TRANSCODER_TARGET) if architecture in TRANSCODERS else site.hook_point
    return Pair(site, Site(site.layer, target))


def sites_read(pairs: Sequence[Pair]) -> list[Site]:
    """Every site of some pairs once: one forward pass must give them all."""
    return list(dict.fromkeys(site for pair in pairs for site in (pair.source, pair.target)))


@dataclass(frozen=True)
class Units:
    """The normalisation of an SAE's input, and of its target."""

    source: Normalization
    target: Normalization

    @property
    def description(self) -> dict[str, dict[str, str | float]]:
        """Both, as JSON; `Units.of` makes the same again."""
        return {"source": dict(self.source.description), "target": dict(self.target.description)}

    @property
    def have_limits(self) -> bool:
        """Whether any token can be a sink."""
        return self.source.norm_limit is not None or self.target.norm_limit is not None

    def sinks(self, source: Tensor, target: Tensor) -> Tensor:
        """Which tokens are sinks, bool, shape (n,): those beyond the limit of the raw input (n, d_in) or target (n, d_out)."""
        found = self.source.sinks(source)
        return found if target is source else found | self.target.sinks(target)

    @staticmethod
    def of(description: Mapping[str, Mapping[str, Any]]) -> Units:
        """The units that `description` describes."""
        return Units(Normalization(**description["source"]), Normalization(**description["target"]))


class Measured(NamedTuple):
    """How an SAE does on some tokens, as `IntervalSums.add` takes it.

    Attributes:
        target: the targets, shape (n, d_out), in units that are the same for all tokens.
        losses: of the SAE, in its own units.
        errors: ‖ŷ − y‖² of each token, shape (n,), in the target's units.
    """

    target: Tensor
    losses: Losses
    errors: Tensor

    @staticmethod
    def of(units: Units, target: Tensor, raw: Tensor, losses: Losses) -> Measured:
        """With targets in the SAE's units and in raw ones, both (n, d_out)."""
        alike, errors = units.target.judged(target, raw, losses.statistics.errors)
        return Measured(alike, losses, errors)


def measure_units(
    pairs: Sequence[Pair],
    kind: Kind,
    sample: Iterator[Mapping[str, Tensor]],
    max_activation_norm: float | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Units], Mapping[str, Tensor]]:
    """The units of each SAE by its name, and the first block of raw activations, which b_dec starts from.

    A transcoder cannot know the mean and deviation of a token's target: with layer_norm its target has one scale.

    Args:
        kind: constant_norm, layer_norm or none.
        sample: raw activations of training text by site, shape (n, d), without end.
        max_activation_norm: a token whose norm is more than so many times the site's median is a sink; None for no limit.
        progress: takes the share that is done, of the site that needs most, before each further block.

    Raises:
        TrainingError: the activations of a site are not finite.
        InvalidInput: they are all 0.
    """
    kinds: dict[str, Kind] = {pair.source.name: kind for pair in pairs}
    kinds |= {pair.target.name: CONSTANT if kind == LAYER else kind for pair in pairs if pair.is_transcoder}
    first = next(sample)
    estimators = {
        site: ScaleEstimator(first[site].shape[1], kind=wanted, max_activation_norm=max_activation_norm)
        for site, wanted in kinds.items()
    }
    for site in estimators:
        _require_finite(site, first[site])
    block: Mapping[str, Tensor] | None = first
    # A site whose scale is known well enough takes no more, so that its units do not depend on the other sites.
    while unsettled := [site for site, estimator in estimators.items() if not estimator.settled]:
        if block is None:
            progress(min(estimator.share for estimator in estimators.values()))
            block = next(sample)
        for site in unsettled:
            _require_finite(site, block[site])
            estimators[site].add(block[site])
        block = None
    known = {site: estimator.result() for site, estimator in estimators.items()}
    return {pair.name: Units(known[pair.source.name], known[pair.target.name]) for pair in pairs}, first


def _require_finite(site: str, rows: Tensor) -> None:
    if not bool(rows.isfinite().all()):
        raise TrainingError(
            f"The model's activations at {site} are not finite.",
            "Choose float32 or bfloat16 as the dtype (float16 overflows); if that changes nothing, the weights are damaged.",
        )
