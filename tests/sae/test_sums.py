"""Interval metrics equal their definitions over all tokens, never a mean of batch ratios."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import IntervalSums, build
from tests.sae.conftest import stirred


def fvu(x: Tensor, x_hat: Tensor) -> float:
    x, x_hat = x.double(), x_hat.double()
    return float((x - x_hat).square().sum() / (x - x.mean(0)).square().sum())


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_metrics_are_those_of_the_whole_interval(offset: float, generator: torch.Generator) -> None:
    x = torch.randn(1000, 24, generator=generator) * torch.linspace(0.1, 3, 1000)[:, None] + offset
    sae = stirred("standard", generator)
    sae.initialise_bias(x)
    sums = IntervalSums(80, 24)
    for part in (x[:100], x[100:730], x[730:]):
        sums.add(part, sae.measure(part, sparsity_coefficient=0.01))
    assert sums.tokens == 1000
    z = sae.encode(x)
    assert torch.allclose(sums.densities, (z > 0).double().mean(0))
    metrics = sums.read()
    recon, l1 = float((sae(x) - x).square().mean()), float(z.sum(1).mean())
    assert metrics["fvu"] == pytest.approx(fvu(x, sae(x).detach()), rel=1e-4)
    assert metrics["r2"] == pytest.approx(1 - metrics["fvu"])
    assert metrics["recon_loss"] == pytest.approx(recon, rel=1e-4)
    assert metrics["sparsity_loss"] == pytest.approx(0.01 * l1, rel=1e-4)
    assert metrics["loss"] == pytest.approx(recon + 0.01 * l1, rel=1e-4)
    assert metrics["l1"] == pytest.approx(l1, rel=1e-4)
    assert metrics["l0"] == pytest.approx(float((z > 0).sum(1).double().mean()))
    assert metrics["l0_fraction"] == pytest.approx(metrics["l0"] / 80)


def test_a_constant_error_is_not_forgiven(generator: torch.Generator) -> None:
    """Off by the same vector on every token: 1 − var/var, coordinate by coordinate, would call it perfect."""
    x = torch.randn(500, 8, generator=generator)
    sae = build("topk", 8, 8, 16, generator, k=8)
    with torch.no_grad():
        # Eight directions and their opposites represent any x exactly.
        sae.W_dec.copy_(torch.cat([torch.eye(8), -torch.eye(8)]))
        sae.W_enc.copy_(sae.W_dec.t())
    sums = IntervalSums(16, 8)
    sums.add(x, sae.measure(x))
    assert sums.read()["fvu"] < 1e-10
    with torch.no_grad():
        # The encoder sees x as before; the output moves by 2 in every coordinate.
        sae.b_dec.add_(2.0)
        sae.b_enc.add_(sae.b_dec @ sae.W_enc)
        error = x - sae(x)
    assert float(error.var(0).max()) < 1e-10
    sums.add(x, sae.measure(x))
    assert sums.read()["fvu"] == pytest.approx(500 * 8 * 4.0 / float((x - x.mean(0)).square().sum()), rel=1e-4)


def test_predicting_the_mean_has_an_fvu_of_one(generator: torch.Generator) -> None:
    x = torch.randn(500, 8, generator=generator) + torch.arange(8) * 10
    sae = build("standard", 8, 8, 16, generator)
    sae.initialise_bias(x)
    with torch.no_grad():
        sae.b_enc.fill_(-100.0)
    sums = IntervalSums(16, 8)
    sums.add(x, sae.measure(x))
    assert sums.read()["fvu"] == pytest.approx(1.0, rel=1e-5), "offsets between coordinates are not variance"


def test_each_interval_stands_alone(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("topk", generator, k=6)
    sums = IntervalSums(80, 24)
    sums.add(x * 9, sae.measure(x * 9))
    sums.read()
    sums.add(x, sae.measure(x))
    assert sums.read()["fvu"] == pytest.approx(fvu(x, sae(x).detach()), rel=1e-4)


def test_what_does_not_exist_is_absent(x: Tensor, generator: torch.Generator) -> None:
    sums = IntervalSums(80, 24)
    sums.add(x, stirred("topk", generator, k=6).measure(x))
    metrics = sums.read()
    assert {"sparsity_loss", "l1"}.isdisjoint(metrics) and "aux_loss" in metrics
    constant = torch.ones(5, 24)
    sums.add(constant, stirred("standard", generator).measure(constant))
    assert {"fvu", "r2", "aux_loss"}.isdisjoint(sums.read())
    with pytest.raises(InvalidInput, match="no tokens"):
        sums.read()


def test_a_checkpoint_inside_an_interval_resumes_exactly(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    one, other = IntervalSums(80, 24), IntervalSums(80, 24)
    one.add(x[:40], sae.measure(x[:40]))
    other.load_state(one.state())
    for sums in (one, other):
        sums.add(x[40:], sae.measure(x[40:]))
    assert one.read() == other.read()
