"""A new architecture is one file and one line: everything that is not its own takes it as it is."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import ARCHITECTURES, DeadLatents, IntervalSums, SparseAutoencoder, build, build_from
from saetui.sae.base import BatchContext
from saetui.sae.losses import BatchStatistics, Losses
from saetui.sae.selftest import Sane, try_planted
from saetui.training.gradient_step import accumulate


class SquaredSAE(SparseAutoencoder):
    """What a newcomer would write: plain autograd, and nothing said but encode and losses."""

    architecture = "squared"

    def encode(self, x: Tensor) -> Tensor:
        return self.pre_activations(x).relu()

    def losses(self, x: Tensor, y: Tensor, context: BatchContext) -> Losses:
        z = self.encode(x)
        squares = (self.decode(z) - y).square()
        recon = squares.mean()
        l1 = z.sum(1).mean()
        statistics = BatchStatistics(len(x), squares.detach().sum(1), l1.detach() * len(x), (z > 0).sum(0))
        return Losses({"recon": recon, "sparsity": context.sparsity_coefficient * l1}, statistics)


@pytest.fixture
def squared(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(ARCHITECTURES, "squared", SquaredSAE)
    return "squared"


def test_a_new_architecture_trains_and_is_measured(squared: str, x: Tensor, generator: torch.Generator) -> None:
    sae = build(squared, 24, 24, 80, generator, decoder_norm="free")
    optimizer = torch.optim.Adam(sae.parameters(), lr=0.01)
    dead, sums = DeadLatents(80, window=1000), IntervalSums(80, 24)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        step = accumulate(sae, x, sparsity_coefficient=0.001, dead=dead.current, micro_batch=40)
        sae.before_step()
        optimizer.step()
        sae.after_step()
        dead.update(step.statistics)
        losses.append(float(step.total))
    assert losses[-1] < 0.5 * losses[0]
    sums.add(x, sae.measure(x))
    assert {"recon_loss", "sparsity_loss", "l0", "fvu"} <= set(sums.read())
    again = build_from(json.loads(json.dumps(sae.description)))
    again.load_state_dict(sae.state_dict())
    assert torch.equal(again(x), sae(x))


def test_a_new_architecture_is_in_the_selftest(squared: str) -> None:
    row = try_planted(squared, Sane(coefficient=0.05, steps=20))
    assert row.architecture == "squared" and not row.passed and "recovered" in row.why


def test_every_architecture_goes_by_its_own_name() -> None:
    assert {name: kind.architecture for name, kind in ARCHITECTURES.items()} == {name: name for name in ARCHITECTURES}
    assert list(ARCHITECTURES) == [
        "standard", "jumprelu", "gated", "topk", "batch_topk", "matryoshka", "skip", "transcoder", "skip_transcoder",
    ]  # fmt: skip


def test_what_is_not_there_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match="'squared' is unknown"):
        build("squared", 8, 8, 16, generator)
