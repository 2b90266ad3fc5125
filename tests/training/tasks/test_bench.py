"""What `saetui bench` measures, at toy sizes; whether it is fast is nobody's business here."""

from __future__ import annotations

import msgspec
import pytest
import torch

from saetui.errors import SaetuiError
from saetui.spec.architectures import ARCHITECTURES, BY_K
from saetui.spec.speed import MachineFigures, predict_seconds
from saetui.training.tasks import bench as machine_bench


def test_every_architecture_gets_a_figure_that_estimates_can_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine_bench.STEP_SIZES, "cpu", ((16, 64, 128),))
    monkeypatch.setitem(machine_bench.FORWARD_WIDTHS, "cpu", (64,))
    monkeypatch.setitem(machine_bench.PRODUCT_SIDE, "cpu", 64)
    monkeypatch.setattr(machine_bench, "SLOW_SIDE", 16)
    measured = machine_bench.bench({"device": "cpu"})
    figures = msgspec.convert({**measured, "measured_at": "2026-01-01T00:00:00Z"}, MachineFigures)
    assert {step.architecture for step in figures.steps} == set(ARCHITECTURES)
    assert all(step.seconds > 0 and step.share > 0 for step in figures.steps)
    for step in figures.steps:
        assert step.l0 == pytest.approx(machine_bench.claimed_l0(step.architecture, 64, machine_bench.K), rel=0.25)
    assert set(figures.products) == {"float32", "bfloat16"}
    for architecture in ARCHITECTURES:
        seconds = predict_seconds(
            figures, architecture=architecture, steps=10, batch_size=128, width=16, latents=64, sites=1,
            forward_parameters=1000,
        )  # fmt: skip
        assert seconds is not None
        assert seconds > 0


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name not in BY_K])
def test_latents_with_a_penalty_fire_as_rarely_as_trained_ones(architecture: str) -> None:
    """Whatever the scale of the encoder: 1 % of 1,024 latents, on tokens that the bias was not sought on."""
    x = torch.randn(1024, 64, generator=torch.Generator().manual_seed(1))
    sae = machine_bench.settled(architecture, 64, 1024, 32, x)
    assert float((sae.encode(x[256:]) > 0).float().sum(1).mean()) == pytest.approx(10.24, rel=0.1)


def test_a_step_that_does_nothing_is_not_a_figure() -> None:
    machine_bench.require_l0("standard", 20.0, 20.48)
    with pytest.raises(SaetuiError, match=r"standard was measured at an L0 of 0, not 20\.5"):
        machine_bench.require_l0("standard", 0.0, 20.48)
