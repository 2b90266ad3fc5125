"""`jumprelu`: losses and straight-through gradients against the formulas of the papers (saetui/docs/architectures.md) in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import DeadSet, JumpReLUSAE
from saetui.sae.base import Path
from saetui.sae.options import Option
from saetui.training.gradient_step import accumulate
from tests.sae import reference
from tests.sae.conftest import stirred

DEAD = DeadSet(torch.arange(3, 78, 5), 15)


def jumping(generator: torch.Generator, **options: Option) -> JumpReLUSAE:
    """Thresholds among the pre-activations, a bandwidth that many fall in, and some active latents."""
    settings: dict[str, Any] = {"bandwidth": 0.5, "initial_threshold": 1.0, "l0_target": 9.0, **options}
    sae = stirred("jumprelu", generator, **settings)
    assert isinstance(sae, JumpReLUSAE)
    return sae


@pytest.mark.parametrize("path", ["dense", "sparse"])
@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
@pytest.mark.parametrize("mode", ["step", "quadratic", "tanh"])
def test_terms_and_gradients_are_those_of_the_formulas(
    mode: str, decoder_norm: str, path: Path, x: Tensor, generator: torch.Generator
) -> None:
    sae = jumping(generator, sparsity_mode=mode, decoder_norm=decoder_norm)
    losses = sae.loss(x, sparsity_coefficient=0.02, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    wanted = reference.jumprelu(sae, x, 0.02)
    reference.assert_renders(sae, losses.terms, wanted)
    assert wanted.gradients["threshold"].count_nonzero() > 70


@pytest.mark.parametrize("path", ["dense", "sparse"])
def test_the_penalty_reaches_thresholds_only_within_the_bandwidth(
    path: Path, x: Tensor, generator: torch.Generator
) -> None:
    sae = jumping(generator, bandwidth=0.01)
    sae.loss(x, sparsity_coefficient=1.0, path=path).terms["sparsity"].backward()  # type: ignore[no-untyped-call]
    inside = ((sae.pre_activations(x) - sae.threshold).abs() < 0.005).sum(0)
    assert 0 < int(inside.sum()) < 96
    assert sae.threshold.grad is not None
    reference.assert_close(sae.threshold.grad, -inside / 0.01 / 96, "gradient of the penalty")
    assert not any(p.grad is not None and p.grad.any() for n, p in sae.named_parameters() if n != "threshold")


def test_activations_jump_and_are_not_shifted(x: Tensor, generator: torch.Generator) -> None:
    sae = jumping(generator)
    h, z = sae.pre_activations(x), sae.encode(x)
    assert torch.equal(z, torch.where(h > sae.threshold, h, torch.zeros_like(h)))
    assert float(z[z > 0].detach().min()) > 0.5


def test_l0_counts_what_exceeds_the_threshold(x: Tensor, generator: torch.Generator) -> None:
    sae = jumping(generator)
    l0 = (sae.pre_activations(x) > sae.threshold).sum()
    losses = sae.measure(x, sparsity_coefficient=1.0)
    assert int(losses.statistics.active) == int(l0)
    assert float(losses.terms["sparsity"]) == pytest.approx(int(l0) / 96)


def test_thresholds_stay_non_negative(x: Tensor, generator: torch.Generator) -> None:
    sae = jumping(generator, initial_threshold=0.0)
    with torch.no_grad():
        sae.threshold.fill_(-0.2)
    sae.after_step()
    assert not sae.threshold.any()


@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
def test_the_pre_activation_loss_is_that_of_the_formula_and_reaches_dead_latents(
    decoder_norm: str, x: Tensor, generator: torch.Generator
) -> None:
    sae = jumping(generator, pre_activation_alpha=0.03, decoder_norm=decoder_norm)
    with torch.no_grad():
        sae.b_enc[DEAD.indices] -= 30.0
    assert not sae.encode(x)[:, DEAD.indices].any()
    losses = accumulate(sae, x, sparsity_coefficient=0.02, dead=DEAD)
    reference.assert_renders(sae, losses.terms, reference.jumprelu(sae, x, 0.02, dead=DEAD.indices))
    assert sae.b_enc.grad is not None and bool((sae.b_enc.grad[DEAD.indices] < 0).all()), "a step raises them"
    sae.zero_grad()
    accumulate(sae, x, sparsity_coefficient=0.02)
    assert not sae.b_enc.grad[DEAD.indices].any() if sae.b_enc.grad is not None else True


def test_a_target_of_another_width_is_predicted_and_gets_its_gradient(x: Tensor, generator: torch.Generator) -> None:
    sae = JumpReLUSAE(24, 10, 40, generator, bandwidth=0.5)
    sae.centres_input = False  # type: ignore[misc]  # what a transcoder's class would say
    y = torch.randn(96, 10, generator=generator)
    for path in ("dense", "sparse"):
        goal = y.clone().requires_grad_()
        sae.zero_grad()
        losses = sae.loss(x, goal, sparsity_coefficient=0.02, path=path)
        losses.total.backward()  # type: ignore[no-untyped-call]
        reference.assert_renders(sae, losses.terms, reference.jumprelu(sae, x, 0.02, y=y))
        assert goal.grad is not None
        reference.assert_close(goal.grad, -2 * (sae(x) - y).detach() / y.numel(), "gradient of the target")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sparsity_mode": "l1"}, "'l1'"),
        ({"bandwidth": 0.0}, "bandwidth is 0"),
        ({"l0_target": -1.0}, "l0_target is -1"),
        ({"initial_threshold": -0.1}, "initial_threshold"),
        ({"pre_activation_alpha": -1.0}, "pre_activation_alpha"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], complaint: str, generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        JumpReLUSAE(8, 8, 16, generator, **options)
