"""The sparse kernels against the dense products that they stand for."""

from __future__ import annotations

import pytest
import torch

from saetui.sae import sparse
from saetui.sae.dense import count_above


# Beyond 65,536 latents the order needs two passes.
@pytest.mark.parametrize("latents", [50, 70_000])
def test_sparse_products_are_the_dense_ones(latents: int, generator: torch.Generator) -> None:
    tokens, k, d = 30, 5, 7
    h = torch.randn(tokens, latents, generator=generator)
    values, indices = h.topk(k, dim=1)
    codes = sparse.Codes(values, indices)
    z = torch.zeros(tokens, latents).scatter(1, indices, values)
    weight = torch.randn(latents, d, generator=generator)
    gradient = torch.randn(tokens, d, generator=generator)
    entries = sparse.by_latent(codes, latents)
    assert torch.allclose(sparse.decode(codes, weight), z @ weight, atol=1e-5)
    assert torch.allclose(sparse.weight_gradient(values, entries, gradient), z.t() @ gradient, atol=1e-5)
    wanted = (gradient @ weight.t()).gather(1, indices)
    assert torch.allclose(sparse.gradient_of_values(gradient, weight, codes), wanted, atol=1e-5)
    assert torch.allclose(sparse.sums_by_latent(values, indices, latents), z.sum(0), atol=1e-5)


def test_inactive_entries_get_no_gradient(generator: torch.Generator) -> None:
    codes = sparse.Codes(torch.tensor([[1.0, 0.0]]), torch.tensor([[2, 0]]))
    weight = torch.randn(4, 3, generator=generator)
    gradient = sparse.gradient_of_values(torch.ones(1, 3), weight, codes)
    assert gradient[0, 1] == 0 and gradient[0, 0] == pytest.approx(float(weight[2].sum()), rel=1e-5)


def test_counting_in_pieces_is_counting(generator: torch.Generator) -> None:
    z = torch.randn(1000, 13, generator=generator)
    assert torch.equal(count_above(z, 0.3), (z > 0.3).sum(0))
