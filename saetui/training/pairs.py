"""What each SAE of a job reads, and what it is to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from saetui.activations import HookPoint, Site
from saetui.spec.architectures import TRANSCODER_TARGET, TRANSCODERS
from saetui.spec.training_spec import TrainingSpec


@dataclass(frozen=True)
class Pair:
    """The input and the target of one SAE.

    Attributes:
        source: the site that is read; the SAE is named for it.
        target: the site that is predicted: the source itself, or for a transcoder the `mlp_out` of its layer.
    """

    source: Site
    target: Site

    @property
    def name(self) -> str:
        """The name of the SAE's site, e.g. `layer_2.resid_post`."""
        return self.source.name

    @property
    def is_transcoder(self) -> bool:
        """Whether what is predicted is another thing than what is read."""
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
    """Every site of some pairs once: what one forward pass must give."""
    return list(dict.fromkeys(site for pair in pairs for site in (pair.source, pair.target)))
