"""Every architecture finds planted directions: the proof that a falling loss is not."""

from __future__ import annotations

import pytest
import torch

from saetui.errors import InvalidInput
from saetui.sae import ARCHITECTURES, PlantedDictionary, build, recovered
from saetui.sae.planted import PlantedMap
from saetui.sae.selftest import SETTINGS, selftest, try_planted
from tests.slow import slow_but


@pytest.mark.parametrize("architecture", slow_but(("topk", "gated"), ARCHITECTURES))
def test_planted_directions_are_recovered(architecture: str) -> None:
    row = try_planted(architecture, SETTINGS[architecture])
    assert row.passed, row.why
    assert row.recovered >= 0.95


def test_what_has_learned_nothing_has_recovered_nothing(generator: torch.Generator) -> None:
    planted = PlantedDictionary.make(directions=64, d=32, active=3, noise=0.05, generator=generator)
    assert recovered(torch.randn(96, 32, generator=generator), planted.directions) < 0.05
    assert recovered(planted.directions * 3.0, planted.directions) == 1.0


def test_activations_are_in_normalised_units(generator: torch.Generator) -> None:
    planted = PlantedDictionary.make(directions=64, d=32, active=3, noise=0.05, generator=generator)
    assert float(planted.sample(8192, generator).square().mean()) == pytest.approx(1.0, rel=0.05)


def test_what_a_map_writes_is_what_the_linear_path_leaves(generator: torch.Generator) -> None:
    planted = PlantedMap.make(64, 32, 20, active=3, noise=0.0, linear=0.5, generator=generator)
    x, y = planted.sample(500, generator)
    assert x.shape == (500, 32) and y.shape == (500, 20)
    assert torch.allclose(planted.written(planted.linear), planted.targets.directions, atol=1e-5)
    perfect = build("skip_transcoder", 32, 20, 64, generator, k=8)
    with torch.no_grad():
        perfect.get_parameter("W_skip").copy_(planted.linear)
        perfect.W_dec.copy_(planted.targets.directions)
    assert recovered(perfect.W_dec, planted.written(perfect.get_parameter("W_skip").detach())) == 1.0


def test_an_unknown_name_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(InvalidInput, match="'relu' is unknown"):
        selftest(["topk", "relu"])
