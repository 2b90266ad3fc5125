"""Normalised units, and the measuring of their scale."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import Normalization, ScaleEstimator


@pytest.mark.parametrize("kind", ["none", "constant_norm", "layer_norm"])
def test_restoring_undoes_normalising(kind: str, x: Tensor) -> None:
    normalization = Normalization(kind, 0.3 if kind == "constant_norm" else 1.0)  # type: ignore[arg-type]
    assert torch.allclose(normalization.restore(normalization.normalise(x), x), x, atol=1e-4)
    assert Normalization(**normalization.description) == normalization  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_estimate_is_within_one_per_cent_on_heavy_tails(generator: torch.Generator) -> None:
    """Norms that differ from context to context, as a language model's do."""
    errors = []
    for _ in range(10):
        estimator = ScaleEstimator(16)
        while not estimator.settled:
            context = torch.exp(0.3 * torch.randn(8, 1, 1, generator=generator))
            token = torch.exp(0.5 * torch.randn(8, 64, 1, generator=generator))
            estimator.add((torch.randn(8, 64, 16, generator=generator) * context * token).reshape(-1, 16))
        exact = 1 / math.sqrt(math.exp(2 * 0.3**2) * math.exp(2 * 0.5**2))
        errors.append(abs(estimator.result().scale / exact - 1))
    assert sorted(errors)[8] < 0.01, "nine in ten lie within the tolerance"
    assert max(errors) < 0.02


def test_scaled_activations_have_mean_square_one(x: Tensor) -> None:
    estimator = ScaleEstimator(24)
    estimator.add(x)
    assert float(estimator.result().normalise(x).square().mean()) == pytest.approx(1.0, rel=1e-5)


def test_an_estimate_from_one_block_is_never_settled(x: Tensor) -> None:
    estimator = ScaleEstimator(24)
    estimator.add(x)
    assert not estimator.settled and estimator.relative_error == math.inf


def test_what_cannot_be_scaled_is_refused() -> None:
    estimator = ScaleEstimator(4)
    with pytest.raises(InvalidInput, match="no tokens"):
        estimator.result()
    estimator.add(torch.zeros(3, 4))
    with pytest.raises(InvalidInput, match="cannot be scaled"):
        estimator.result()
    with pytest.raises(InvalidInput, match="positive"):
        Normalization("constant_norm", 0.0)
    with pytest.raises(InvalidInput, match="takes no scale"):
        Normalization("none", 2.0)


def test_a_scale_that_never_settles_is_taken_as_it_is_after_many_blocks() -> None:
    estimator, blocks = ScaleEstimator(4, tolerance=0.0), 0
    while not estimator.settled:
        estimator.add(torch.randn(2, 4))
        blocks += 1
    assert blocks == 512
    assert estimator.result().kind == "constant_norm"


def uneven_block(generator: torch.Generator, d: int = 16) -> Tensor:
    """16 contexts of 128 tokens, as a language model's: 1.5 % are sinks of 8 times the median, more in some contexts than in others."""
    norms = torch.exp(0.2 * torch.randn(16, 128, generator=generator))
    likely = 0.03 * torch.rand(16, 1, generator=generator)
    norms = torch.where(torch.rand(16, 128, generator=generator) < likely, 8.0, norms)
    directions = torch.nn.functional.normalize(torch.randn(16, 128, d, generator=generator), dim=2)
    return (directions * norms[..., None]).reshape(-1, d)


def blocks_until_settled(generator: torch.Generator, limit: float | None) -> tuple[int, Normalization]:
    estimator, blocks = ScaleEstimator(16, max_activation_norm=limit), 0
    while not estimator.settled:
        estimator.add(uneven_block(generator))
        blocks += 1
    return blocks, estimator.result()


def test_with_sinks_left_out_the_scale_is_known_after_few_blocks(generator: torch.Generator) -> None:
    blocks, units = blocks_until_settled(generator, 6.0)
    assert blocks == 8, "the fewest there are"
    assert units.scale == pytest.approx(math.sqrt(16 / math.exp(2 * 0.2**2)), rel=0.01)
    assert units.norm_limit == pytest.approx(6.0, rel=0.02)
    more, spoiled = blocks_until_settled(generator, None)
    assert more > 2 * blocks
    assert spoiled.scale < 0.8 * units.scale
    assert spoiled.norm_limit is None


def test_the_share_that_is_done_rises_to_one(generator: torch.Generator) -> None:
    estimator = ScaleEstimator(16)
    shares = []
    while not estimator.settled:
        estimator.add(uneven_block(generator))
        shares.append(estimator.share)
    assert len(shares) > 16
    assert 0 < shares[0] < 0.1 and shares[-1] == 1.0
    assert all(0 < share < 1 for share in shares[:-1])
    assert shares[len(shares) // 2] < 0.9


@pytest.mark.parametrize("kind", ["none", "layer_norm"])
def test_units_without_a_scale_wait_for_the_median_alone(kind: Any, generator: torch.Generator) -> None:
    free = ScaleEstimator(16, kind=kind)
    assert free.settled and free.result() == Normalization(kind)
    limited = ScaleEstimator(16, kind=kind, max_activation_norm=6.0)
    for _ in range(8):
        assert not limited.settled
        limited.add(uneven_block(generator))
    assert limited.settled
    assert limited.result().norm_limit == pytest.approx(6.0, rel=0.02)


def test_a_limit_is_kept_with_the_units_and_must_be_a_length() -> None:
    units = Normalization("constant_norm", 0.3, 25.0)
    assert Normalization(**units.description) == units  # type: ignore[arg-type]
    assert units.sinks(torch.tensor([[24.0, 0.0], [24.0, 24.0], [math.inf, 0.0], [math.nan, 0.0]])).tolist() == [
        False, True, False, False,
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="limit of the norm"):
        Normalization("none", norm_limit=0.0)
