"""`gated`: losses and gradients against the formulas of the papers (saetui/docs/architectures.md) in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.sae import GatedSAE, build
from saetui.sae.base import Path
from tests.sae import reference
from tests.sae.conftest import stirred


@pytest.mark.parametrize("path", ["dense", "sparse"])
@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
def test_terms_and_gradients_are_those_of_the_formulas(
    decoder_norm: str, path: Path, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("gated", generator, decoder_norm=decoder_norm)
    losses = sae.loss(x, sparsity_coefficient=0.02, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    reference.assert_renders(sae, losses.terms, reference.gated(sae, x, 0.02))


@pytest.mark.parametrize("path", ["dense", "sparse"])
def test_the_gates_reconstruction_trains_the_gate_and_not_the_decoder(
    path: Path, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("gated", generator)
    sae.loss(x, path=path).terms["aux"].backward()  # type: ignore[no-untyped-call]
    assert isinstance(sae, GatedSAE)
    assert sae.W_dec.grad is None or not sae.W_dec.grad.any()
    assert sae.r_mag.grad is None or not sae.r_mag.grad.any()
    assert sae.b_gate.grad is not None and sae.b_gate.grad.any()


@pytest.mark.parametrize("path", ["dense", "sparse"])
def test_the_penalty_does_not_shrink_the_decoder(path: Path, x: Tensor, generator: torch.Generator) -> None:
    """Free rows would lose it all their length: the magnitude makes up for it."""
    sae = stirred("gated", generator, decoder_norm="free")
    sae.loss(x, sparsity_coefficient=1.0, path=path).terms["sparsity"].backward()  # type: ignore[no-untyped-call]
    assert sae.W_dec.grad is None or not sae.W_dec.grad.any()
    assert sae.W_enc.grad is not None and sae.W_enc.grad.any()


def test_the_reconstruction_does_not_reach_the_gate(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("gated", generator)
    assert isinstance(sae, GatedSAE)
    sae.loss(x).terms["recon"].backward()  # type: ignore[no-untyped-call]
    assert sae.b_gate.grad is not None and not sae.b_gate.grad.any()
    assert sae.b_mag.grad is not None and sae.b_mag.grad.any()


def test_gate_and_magnitude_begin_alike_as_a_relu(x: Tensor, generator: torch.Generator) -> None:
    sae = build("gated", 24, 24, 80, generator)
    assert [name for name, _ in sae.named_parameters()] == ["W_dec", "b_dec", "W_enc", "b_gate", "r_mag", "b_mag"]
    assert torch.allclose(sae.encode(x), sae.pre_activations(x).relu(), atol=1e-6)


def test_statistics_are_those_of_the_activations(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("gated", generator)
    losses, z = sae.measure(x), sae.encode(x)
    assert torch.equal(losses.statistics.fired, (z > 0).sum(0))
    assert float(losses.terms["recon"].detach()) == pytest.approx(
        float((sae(x) - x).detach().square().mean()), rel=1e-5
    )
    assert float(losses.statistics.l1) == pytest.approx(float(sae.pre_activations(x).detach().relu().sum()), rel=1e-5)
