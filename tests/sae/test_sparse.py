"""The sparse kernels against the dense products that they stand for."""

from __future__ import annotations

import pytest
import torch

from saetui.sae.kernels import sparse
from saetui.sae.kernels.dense import count_above


# Beyond 65,536 latents the order needs two passes.
@pytest.mark.parametrize("latents", [50, 70_000])
@pytest.mark.parametrize("ragged", [False, True])
def test_sparse_products_are_the_dense_ones(
    latents: int, ragged: bool, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, d = 30, 7
    h = torch.randn(tokens, latents, generator=generator)
    h[4:9] -= 100.0
    codes = sparse.codes_above(h, 1.5) if ragged else sparse.fixed_codes(*h.topk(5, dim=1))
    z = torch.zeros(tokens, latents)
    z[codes.rows, codes.indices] = codes.values
    assert torch.equal(
        z, torch.where(h > 1.5, h, 0.0) if ragged else torch.where(h >= h.topk(5).values[:, -1:], h, 0.0)
    )
    weight = torch.randn(latents, d, generator=generator)
    gradient = torch.randn(tokens, d, generator=generator)
    entries = sparse.by_latent(codes, latents)
    assert torch.allclose(sparse.decode(codes, weight), z @ weight, atol=1e-3)
    assert torch.allclose(sparse.weight_gradient(codes.values, entries, gradient), z.t() @ gradient, atol=1e-3)
    monkeypatch.setattr(sparse, "_COLUMNS", 3)
    assert torch.allclose(sparse.transposed_gradient(codes.values, entries, gradient), gradient.t() @ z, atol=1e-3)
    wanted = (gradient @ weight.t())[codes.rows, codes.indices] * (codes.values > 0)
    assert torch.allclose(sparse.gradient_of_values(gradient, weight, codes), wanted, atol=1e-5)
    assert torch.allclose(sparse.sums_by_latent(codes.values, codes.indices, latents), z.sum(0), atol=1e-3)


def test_each_prefix_has_rows_of_its_own(generator: torch.Generator) -> None:
    codes = sparse.codes_above(torch.randn(20, 12, generator=generator), 0.5)
    weight = torch.randn(12, 3, generator=generator)
    z = torch.zeros(20, 12)
    z[codes.rows, codes.indices] = codes.values
    decoded = sparse.decode(sparse.by_prefix(codes, [2, 7, 12]), weight).view(3, 20, 3).cumsum(0)
    for level, width in enumerate([2, 7, 12]):
        assert torch.allclose(decoded[level], z[:, :width] @ weight[:width], atol=1e-5)


def test_a_floor_of_their_own_for_each_latent(generator: torch.Generator) -> None:
    h, floor = torch.randn(300, 9, generator=generator), torch.linspace(-1, 1, 9)
    codes = sparse.codes_above(h, floor)
    kept = h > floor
    assert torch.equal(codes.values, h[kept])
    assert torch.equal(torch.stack([codes.rows, codes.indices], 1), kept.nonzero())


def test_codes_without_an_entry_are_zero() -> None:
    codes = sparse.codes_above(torch.zeros(4, 6), 0.0)
    weight = torch.ones(6, 3)
    assert torch.equal(sparse.decode(codes, weight), torch.zeros(4, 3))
    entries = sparse.by_latent(codes, 6)
    assert torch.equal(sparse.weight_gradient(codes.values, entries, torch.ones(4, 3)), torch.zeros(6, 3))
    assert sparse.gradient_of_values(torch.ones(4, 3), weight, codes).shape == (0,)


def test_inactive_entries_get_no_gradient(generator: torch.Generator) -> None:
    codes = sparse.fixed_codes(torch.tensor([[1.0, 0.0]]), torch.tensor([[2, 0]]))
    weight = torch.randn(4, 3, generator=generator)
    gradient = sparse.gradient_of_values(torch.ones(1, 3), weight, codes)
    assert gradient[1] == 0 and gradient[0] == pytest.approx(float(weight[2].sum()), rel=1e-5)


def test_counting_in_pieces_is_counting(generator: torch.Generator) -> None:
    z = torch.randn(1000, 13, generator=generator)
    assert torch.equal(count_above(z, 0.3), (z > 0.3).sum(0))


def test_where_torch_has_no_product_by_entries_it_is_made_by_gathering(
    generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = sparse.fixed_codes(*torch.randn(30, 50, generator=generator).topk(5, dim=1))
    weight, gradient = torch.randn(50, 7, generator=generator), torch.randn(30, 7, generator=generator)
    by_torch = sparse.sampled_product(gradient, weight, codes)
    monkeypatch.setattr(sparse, "_has_sampled", lambda device: False)
    assert torch.allclose(sparse.sampled_product(gradient, weight, codes), by_torch, atol=1e-5)
    monkeypatch.setattr(sparse, "_GATHERED_BYTES", 11 * 7 * 4)
    assert torch.allclose(sparse.sampled_product(gradient, weight, codes), by_torch, atol=1e-5)


def test_whether_torch_has_a_product_by_entries_is_tried() -> None:
    assert sparse._has_sampled(torch.device("cpu"))
    assert not sparse._has_sampled(torch.device("meta"))
