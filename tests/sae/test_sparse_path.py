"""The sparse path of standard, jumprelu and gated: another way to the dense one's values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from saetui.sae import SparseAutoencoder, build
from saetui.sae.base import ENCODER_START, Path
from saetui.sae.kernels.sparse_layers import encode_above, is_sparse
from saetui.sae.losses import Losses
from tests.sae.reference import assert_close

EVERY: list[tuple[str, dict[str, Any]]] = [
    ("standard", {"firing_threshold": 0.3}),
    ("standard", {"decoder_norm": "free"}),
    ("standard", {"tie_weights": True}),
    ("jumprelu", {"bandwidth": 0.4, "initial_threshold": 0.5, "firing_threshold": 1.0}),
    ("jumprelu", {"bandwidth": 0.4, "sparsity_mode": "quadratic", "l0_target": 3.0}),
    ("jumprelu", {"bandwidth": 0.4, "sparsity_mode": "tanh", "decoder_norm": "free"}),
    ("jumprelu", {"bandwidth": 0.4, "sparsity_mode": "tanh"}),
    ("gated", {"firing_threshold": 0.3}),
    ("gated", {"decoder_norm": "free"}),
]


def made(architecture: str, options: dict[str, Any], shift: float, generator: torch.Generator) -> SparseAutoencoder:
    sae = build(architecture, 12, 12, 50, generator, **options)
    with torch.no_grad():
        if "W_enc" in dict(sae.named_parameters()):
            sae.W_enc.div_(ENCODER_START)
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        sae.encoder_bias.add_(shift)
    sae.after_step()
    return sae


def taken(sae: SparseAutoencoder, x: Tensor, path: Path) -> tuple[Losses, dict[str, Tensor]]:
    sae.zero_grad()
    losses = sae.loss(x, sparsity_coefficient=0.02, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return losses, {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6), tokens=st.sampled_from([1, 30, 700]), shift=st.sampled_from([-100.0, -2.5, -1.5, 0.0])
)
@pytest.mark.parametrize(("architecture", "options"), EVERY)
def test_the_sparse_path_equals_the_dense_one(
    architecture: str, options: dict[str, Any], seed: int, tokens: int, shift: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sae = made(architecture, options, shift, generator)
    x = torch.randn(tokens, 12, generator=generator)
    dense, wanted = taken(sae, x, "dense")
    sparse, gradients = taken(sae, x, "sparse")
    for name, term in dense.terms.items():
        assert_close(sparse.terms[name], term.detach(), name)
    assert gradients.keys() == wanted.keys() == dict(sae.named_parameters()).keys()
    for name, gradient in wanted.items():
        assert_close(gradients[name], gradient, f"gradient of {name}")
    z = sae.encode(x).detach()
    for losses in (dense, sparse):
        assert torch.equal(losses.statistics.fired, (z > sae.options.firing_threshold).sum(0))
        assert int(losses.statistics.active) == int((z > 0).sum())
    assert_close(sparse.statistics.l1, dense.statistics.l1, "l1")


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_the_path_follows_the_batchs_density_and_nothing_else(architecture: str, generator: torch.Generator) -> None:
    x = torch.randn(700, 12, generator=generator)
    for shift, path in ((-2.5, "sparse"), (0.0, "dense")):
        sae = made(architecture, {}, shift, torch.Generator().manual_seed(3))
        assert is_sparse(x, sae.weights(), 0.0) == (path == "sparse")
        _, chosen = taken(sae, x, "auto")
        _, again = taken(sae, x, "sparse" if path == "sparse" else "dense")
        assert all(torch.equal(chosen[name], again[name]) for name in chosen), "bit for bit"


def test_a_window_that_is_not_sparse_is_not_taken_for_sparse(generator: torch.Generator) -> None:
    """Few latents fire, but nearly all lie within the bandwidth, and each of those has a gradient."""
    sae = build("jumprelu", 12, 12, 50, generator, initial_threshold=4.0, bandwidth=8.0)
    x = torch.randn(64, 12, generator=generator)
    assert float(sae.measure(x).statistics.active) < 0.01 * 64 * 50
    _, chosen = taken(sae, x, "auto")
    _, dense = taken(sae, x, "dense")
    assert all(torch.equal(chosen[name], dense[name]) for name in chosen)


def test_the_pre_activations_are_never_whole_in_memory(generator: torch.Generator) -> None:
    sae = build("standard", 8, 8, 1024, generator)
    with torch.no_grad():
        sae.b_enc.fill_(-2.5)
    x = torch.randn(4096, 8, generator=generator)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        sae.loss(x, path="sparse").total.backward()  # type: ignore[no-untyped-call]
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < 4096 * 1024 * 4 / 4, "an eighth of h at a time, and the entries"


def test_products_in_bfloat16_stay_near_the_exact_ones(generator: torch.Generator) -> None:
    x = torch.randn(300, 12, generator=generator)
    for architecture in ("standard", "jumprelu", "gated"):
        for path in ("dense", "sparse"):
            sae = made(architecture, {}, -1.0, torch.Generator().manual_seed(3))
            _, exact = taken(sae, x, "dense")
            sae.compute_dtype = torch.bfloat16
            _, rough = taken(sae, x, path)
            for name, gradient in exact.items():
                assert rough[name].dtype == torch.float32
                if name != "threshold":  # those few within the bandwidth are others after rounding
                    assert_close(rough[name], gradient, f"{architecture}, {path}: {name}", tolerance=0.1)


def test_only_what_exceeds_the_floor_is_kept(generator: torch.Generator) -> None:
    sae = made("standard", {}, -1.0, generator)
    x = torch.randn(1100, 12, generator=generator)
    h, pattern = encode_above(x, sae.weights(), 0.4)
    whole = sae.pre_activations(x)
    assert h.shape[0] == int((whole > 0.4).sum())
    assert torch.allclose(whole[pattern.codes.rows, pattern.codes.indices], h, atol=1e-6)
    assert torch.equal(pattern.codes.starts[1:].diff(), (whole > 0.4).sum(1)[1:])
