"""`standard`: losses and gradients against the formulas of the papers (saetui/docs/architectures.md) in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import build
from saetui.training.gradient_step import accumulate
from tests.sae import reference
from tests.sae.conftest import stirred


@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
@pytest.mark.parametrize("tie_weights", [False, True])
def test_terms_and_gradients_are_those_of_the_formulas(
    decoder_norm: str, tie_weights: bool, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("standard", generator, decoder_norm=decoder_norm, tie_weights=tie_weights)
    losses = accumulate(sae, x, sparsity_coefficient=0.02)
    wanted = reference.standard(sae, x, 0.02, free=decoder_norm == "free")
    reference.assert_renders(sae, losses.terms, wanted)
    assert float(losses.total) == pytest.approx(float(sum(wanted.terms.values())), rel=1e-5)
    assert float(wanted.terms["sparsity"]) > 0


def test_tied_weights_are_one_parameter(generator: torch.Generator) -> None:
    sae = build("standard", 8, 8, 16, generator, tie_weights=True)
    assert [name for name, _ in sae.named_parameters()] == ["W_dec", "b_enc", "b_dec"]
    assert torch.equal(sae.encoder_weight, sae.W_dec.t())
    with pytest.raises(InvalidInput, match="8 and 4"):
        build("standard", 8, 4, 16, generator, tie_weights=True)


def test_loss_agrees_with_encode_and_decode(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    losses = sae.measure(x)
    z = sae.encode(x)
    assert float(losses.terms["recon"]) == pytest.approx(float((sae(x) - x).square().mean()), rel=1e-5)
    assert torch.equal(losses.statistics.fired, (z > 0).sum(0))
    assert int(losses.statistics.active) == int((z > 0).sum())
    assert float(losses.statistics.l1) == pytest.approx(float(z.sum()), rel=1e-5)


def test_a_firing_threshold_counts_only_what_exceeds_it(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator, firing_threshold=0.5)
    assert torch.equal(sae.measure(x).statistics.fired, (sae.encode(x) > 0.5).sum(0))


def test_a_target_of_another_width_is_predicted(x: Tensor, generator: torch.Generator) -> None:
    sae = build("standard", 24, 10, 40, generator)
    y = torch.randn(96, 10, generator=generator)
    sae.centres_input = False  # type: ignore[misc]  # what a transcoder's class will say
    losses = accumulate(sae, x, y)
    assert float(losses.terms["recon"]) == pytest.approx(float((sae(x) - y).square().mean()), rel=1e-5)
    assert float(losses.terms["recon"]) > 0.1
    assert sae.W_enc.grad is not None and sae.W_enc.grad.shape == (24, 40)


def test_products_in_bfloat16_leave_float32_gradients_near_the_exact_ones(
    x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("standard", generator)
    sae.compute_dtype = torch.bfloat16
    accumulate(sae, x, sparsity_coefficient=0.02)
    wanted = reference.standard(sae, x, 0.02)
    for name, parameter in sae.named_parameters():
        assert parameter.grad is not None and parameter.grad.dtype == torch.float32
        reference.assert_close(parameter.grad, wanted.gradients[name], name, tolerance=0.05)
