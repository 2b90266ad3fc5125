"""Both architectures find planted directions: the proof that a falling loss is not."""

from __future__ import annotations

import pytest
import torch

from saetui.sae import DeadLatents, PlantedDictionary, build, recovered
from saetui.sae.base import Option


@pytest.mark.parametrize(
    ("architecture", "options", "alpha"),
    [("standard", {}, 0.05), ("topk", {"k": 4}, 0.0)],
)
def test_planted_directions_are_recovered(
    architecture: str, options: dict[str, Option], alpha: float, generator: torch.Generator
) -> None:
    steps, tokens = 1000, 512
    planted = PlantedDictionary.make(directions=64, d=32, active=3, noise=0.05, generator=generator)
    sae = build(architecture, 32, 32, 96, generator, **options)
    sae.initialise_bias(planted.sample(4096, generator))
    optimizer = torch.optim.Adam(sae.parameters(), lr=3e-3, fused=True)
    dead = DeadLatents(96, window=50 * tokens)
    for step in range(steps):
        rate = min(1.0, (steps - step) / (0.2 * steps))
        optimizer.param_groups[0]["lr"] = 3e-3 * rate
        optimizer.zero_grad()
        losses = sae.accumulate(
            planted.sample(tokens, generator),
            sparsity_coefficient=alpha * min(1.0, step / (0.05 * steps)),
            dead=dead.current,
        )
        sae.before_step()
        optimizer.step()
        sae.after_step()
        dead.update(losses.statistics)
        if step % 10 == 9:
            dead.refresh()
    assert recovered(sae.W_dec, planted.directions) >= 0.95
    assert dead.refresh() <= 0.1 * 96
    assert recovered(torch.randn(96, 32, generator=generator), planted.directions) < 0.05
