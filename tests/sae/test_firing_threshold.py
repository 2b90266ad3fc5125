"""`dead_neuron_threshold` decides which latents are dead; L0 counts every latent that is active, however weak."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.sae import IntervalSums
from saetui.sae.base import Path
from saetui.sae.losses import combine
from saetui.sae.options import Option
from saetui.sae.registry import ARCHITECTURES
from saetui.training.gradient_step import accumulate
from tests.sae.conftest import stirred

THRESHOLD = 3.0
OWN: dict[str, dict[str, Option]] = {
    "standard": {},
    "jumprelu": {"bandwidth": 0.4, "initial_threshold": 0.5},
    "gated": {},
    "topk": {"k": 6},
    "batch_topk": {"k": 6},
    "matryoshka": {"k": 6},
    "skip": {},
    "transcoder": {"k": 6},
    "skip_transcoder": {"k": 6},
}
CASES = [*OWN.items(), ("transcoder", {}), ("skip_transcoder", {})]


def test_every_architecture_is_looked_at() -> None:
    assert OWN.keys() == ARCHITECTURES.keys()


@pytest.mark.parametrize("path", ["dense", "sparse"])
@pytest.mark.parametrize(("architecture", "options"), CASES)
def test_l0_counts_what_is_active_and_the_dead_are_counted_by_the_threshold(
    architecture: str, options: dict[str, Option], path: Path, x: Tensor, generator: torch.Generator
) -> None:
    plain = stirred(architecture, generator, **options)
    picky = stirred(architecture, generator, **options, firing_threshold=THRESHOLD)
    picky.load_state_dict(plain.state_dict())
    target = None if plain.centres_input else x + 1.0
    told = picky.loss(x, target, path=path).statistics
    wanted = plain.loss(x, target, path=path).statistics
    assert torch.equal(told.active, wanted.active)
    assert 0 < int(told.fired.sum()) < int(told.active)
    assert bool((told.fired <= wanted.fired).all())


@pytest.mark.parametrize(("architecture", "options"), CASES)
def test_so_do_metrics_of_micro_batches_and_of_held_out_text(
    architecture: str, options: dict[str, Option], x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred(architecture, generator, **options, firing_threshold=THRESHOLD)
    target = None if sae.centres_input else x + 1.0
    accumulate(sae, x, target)
    sums = IntervalSums(80, 24)
    pieces = [(x[rows], None if target is None else target[rows]) for rows in (slice(0, 50), slice(50, 96))]
    sums.add(x if target is None else target, combine([sae.measure(*piece) for piece in pieces]))
    active = sum(int((sae.encode(piece) > 0).sum()) for piece, _ in pieces)
    assert sums.read()["l0"] == pytest.approx(active / 96)
