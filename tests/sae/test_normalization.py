"""Normalised units, and the measuring of their scale."""

from __future__ import annotations

import math

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
