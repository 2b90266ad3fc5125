"""What `saetui bench` measures, at toy sizes; whether it is fast is nobody's business here."""

from __future__ import annotations

import msgspec
import pytest

from saetui.spec.architectures import ARCHITECTURES
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
    assert set(figures.products) == {"float32", "bfloat16"}
    for architecture in ARCHITECTURES:
        seconds = predict_seconds(
            figures, architecture=architecture, steps=10, batch_size=128, width=16, latents=64, sites=1,
            forward_parameters=1000,
        )  # fmt: skip
        assert seconds is not None
        assert seconds > 0
