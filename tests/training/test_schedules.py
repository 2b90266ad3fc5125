from __future__ import annotations

from typing import Any

import pytest

from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.optimizers import learning_rate, sparsity_factor


def settings(architecture: str = "topk", **hyperparameters: Any) -> Settings:
    raw = {
        "model": "m", "dataset": {"source": "d"}, "architecture": architecture,
        "hyperparameters": {"num_steps": 100, "learning_rate": 1.0, "warmup_steps": 10, **hyperparameters},
    }  # fmt: skip
    settled = resolve(parse_spec(raw)[0], 16)
    assert settled is not None
    return settled


def curve(**hyperparameters: Any) -> list[float]:
    settled = settings(**hyperparameters)
    return [learning_rate(settled, step) for step in range(100)]


def test_constant_rises_stays_and_falls_at_the_end() -> None:
    rates = curve(lr_schedule="constant", decay_fraction=0.2)
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:81] == [1.0] * 71
    assert rates[90] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.05)


def test_without_decay_it_stays() -> None:
    assert curve(lr_schedule="constant", decay_fraction=0)[-1] == 1.0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_falling_schedules_reach_the_end_almost_at_nothing(schedule: str) -> None:
    rates = curve(lr_schedule=schedule)
    assert rates[9] == 1.0
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert rates[99] < 0.02
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_one_cycle_peaks_once_and_ignores_the_warm_up() -> None:
    rates = curve(lr_schedule="one_cycle")
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) == 30
    assert rates[99] < 0.01


def test_the_penalty_rises_over_its_warm_up() -> None:
    settled = settings("standard", sparsity_warmup_steps=10)
    assert [sparsity_factor(settled, step) for step in (0, 5, 10, 99)] == [0.0, 0.5, 1.0, 1.0]
    assert sparsity_factor(settings("standard", sparsity_warmup_steps=0), 0) == 1.0
