"""`topk`: both paths, with and without dead latents, against the formulas of the papers (saetui/docs/architectures.md) in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import DeadSet, build
from saetui.sae.base import Path
from saetui.training.gradient_step import accumulate
from tests.sae import reference
from tests.sae.conftest import stirred

PATHS: tuple[Path, ...] = ("dense", "sparse")


def dead_set(count: int) -> tuple[DeadSet, Tensor]:
    mask = torch.zeros(80, dtype=torch.bool)
    mask[torch.randperm(80, generator=torch.Generator().manual_seed(3))[:count]] = True
    return DeadSet(mask.nonzero().reshape(-1), count), mask


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
def test_terms_and_gradients_are_those_of_the_formulas(
    path: Path, decoder_norm: str, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("topk", generator, k=6, decoder_norm=decoder_norm)
    losses = sae.loss(x, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    reference.assert_renders(sae, losses.terms, reference.topk(sae, x, 6, None))
    assert float(losses.terms["aux"]) == 0.0


# Few dead (all of them used, scale below 1), several of more (dense over the dead), few of many (sparse codes).
@pytest.mark.parametrize(("dead_count", "aux_k"), [(5, 12), (30, 12), (70, 4)])
@pytest.mark.parametrize("path", PATHS)
def test_auxk_and_its_gradients_are_those_of_the_formulas(
    path: Path, dead_count: int, aux_k: int, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("topk", generator, k=6, aux_k=aux_k, aux_k_alpha=0.5)
    dead, mask = dead_set(dead_count)
    losses = sae.loss(x, dead=dead, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    wanted = reference.topk(sae, x, 6, mask, aux_k, 0.5)
    reference.assert_renders(sae, losses.terms, wanted)
    assert float(losses.terms["aux"]) > 0.01


@pytest.mark.parametrize("path", PATHS)
def test_auxk_reaches_the_encoder_of_dead_latents(path: Path, x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("topk", generator, k=6)
    dead, mask = dead_set(12)
    with torch.no_grad():
        sae.W_enc[:, mask] *= 0.01
        sae.b_enc[mask] = 0.1
    assert not (sae.encode(x) > 0)[:, mask].any()
    sae.loss(x, dead=dead, path=path).total.backward()  # type: ignore[no-untyped-call]
    assert sae.W_enc.grad is not None
    assert (sae.W_enc.grad[:, mask].abs().sum(0) > 0).float().mean() > 0.5


def test_auxk_off_is_no_term(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("topk", generator, k=6, aux_k_alpha=0.0)
    assert list(accumulate(sae, x, dead=dead_set(9)[0]).terms) == ["recon"]


@pytest.mark.parametrize("path", PATHS)
def test_statistics_are_those_of_the_codes(path: Path, x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("topk", generator, k=6, firing_threshold=0.8)
    statistics = sae.loss(x, path=path).statistics
    z = sae.encode(x)
    assert int((z > 0).sum(1).max()) == 6
    assert torch.equal(statistics.fired, (z > 0.8).sum(0))
    assert float(statistics.l1) == pytest.approx(float(z.sum()), rel=1e-5)
    assert float(statistics.squared_error) == pytest.approx(float((sae(x) - x).square().sum()), rel=1e-5)


def test_negative_pre_activations_stay_out_even_among_the_k_largest(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("topk", generator, k=60)
    for path in PATHS:
        sae.zero_grad()
        losses = sae.loss(x, path=path)
        losses.total.backward()  # type: ignore[no-untyped-call]
        reference.assert_renders(sae, losses.terms, reference.topk(sae, x, 60, None))
    assert float(sae.encode(x).min()) == 0.0


def test_the_sparse_path_makes_nothing_wide_but_h(generator: torch.Generator) -> None:
    """One (B, F), which is h, and no (B, k, d)."""
    d, latents, tokens, k = 32, 512, 1024, 8
    sae = build("topk", d, d, latents, generator, k=k)
    x = torch.randn(tokens, d, generator=generator)
    accumulate(sae, x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        accumulate(sae, x)
    allocations = [event.self_cpu_memory_usage for event in profile.events() or []]
    h = tokens * latents * 4
    assert [size for size in allocations if size >= h] == [h]
    assert not [size for size in allocations if tokens * k * d * 4 <= size < h]


def test_impossible_options_are_refused(generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match="k is 17 with 16"):
        build("topk", 8, 8, 16, generator, k=17)
    with pytest.raises(InvalidInput, match="aux_k is 0"):
        build("topk", 8, 8, 16, generator, k=2, aux_k=0)
    with pytest.raises(InvalidInput, match="required option k"):
        build("topk", 8, 8, 16, generator)
