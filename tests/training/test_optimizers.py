"""The optimisers work in the papers' units, although the loss is a mean over coordinates."""

from __future__ import annotations

import math

import pytest
import torch

from saetui.spec.architectures import ARCHITECTURES
from saetui.training.optimizers import build_optimizer, learning_rate, set_learning_rate
from tests.training.trainers import D, fresh, small, take_steps


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_step_is_that_of_the_papers_where_the_error_is_a_sum_over_coordinates(optimizer: str) -> None:
    """Gradients near 1e-8 of a sum are where an eps that is not converted swallows most of the step."""
    spec, settings = small("topk", optimizer=optimizer)
    ours, theirs = fresh(spec, settings).sae, fresh(spec, settings).sae
    papers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    reference = papers(theirs.parameters(), lr=settings.learning_rate, eps=1e-8, weight_decay=0.0)
    converted = build_optimizer(ours, settings)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.grad = 1e-8 * torch.randn(other.shape, generator=generator)
            parameter.grad = other.grad / ours.d_out
        converted.step()
        reference.step()
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-5, atol=1e-8)


def test_a_rare_latents_small_gradient_still_moves_it_by_almost_the_whole_rate() -> None:
    spec, settings = small("topk")
    sae = fresh(spec, settings).sae
    before = sae.W_dec.detach().clone()
    optimizer = build_optimizer(sae, settings)
    sae.W_dec.grad = torch.full_like(sae.W_dec, 1e-7 / sae.d_out)
    optimizer.step()
    moved = (before - sae.W_dec.detach()) / settings.learning_rate
    assert float(moved.min()) > 0.9


def test_only_thresholds_have_a_rate_of_their_own() -> None:
    for architecture in ARCHITECTURES:
        factors = fresh(*small(architecture)).sae.rate_factors
        assert factors == ({"threshold": math.sqrt(D)} if architecture == "jumprelu" else {}), architecture


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_schedule_keeps_the_ratio_of_a_thresholds_rate_to_the_others(optimizer: str) -> None:
    spec, settings = small("jumprelu", optimizer=optimizer)
    sae = fresh(spec, settings).sae
    built = build_optimizer(sae, settings)
    held = sorted(id(parameter) for group in built.param_groups for parameter in group["params"])
    assert held == sorted(id(parameter) for parameter in sae.parameters()), "each parameter once"
    for step in (0, 5, 19):
        rate = learning_rate(settings, step)
        set_learning_rate(built, rate)
        for group in built.param_groups:
            thresholds = any(parameter is sae.threshold for parameter in group["params"])
            assert group["lr"] == pytest.approx(rate * (math.sqrt(D) if thresholds else 1.0))


def test_thresholds_follow_the_penalty_as_fast_as_in_the_papers_units() -> None:
    """Under a heavy penalty alone each step of Adam raises θ by the rate times √d_in."""
    spec, settings = small("jumprelu", l0_alpha=10.0, bandwidth=50.0, warmup_steps=0, decay_fraction=0.0)
    trainer = fresh(spec, settings)
    began = float(trainer.sae.get_parameter("threshold").detach().mean())
    take_steps(trainer, spec, settings)
    risen = float(trainer.sae.get_parameter("threshold").detach().mean()) - began
    assert risen > 0.7 * (settings.num_steps - 1) * settings.learning_rate * math.sqrt(D)
