"""`batch_topk`: the batch's largest while it trains, a threshold that gives the same L0 afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.sae import DeadSet, IntervalSums, build
from saetui.sae.base import Path
from saetui.sae.batch_topk import BatchTopKSAE
from saetui.training.gradient_step import accumulate
from tests.sae import reference, topk_reference
from tests.sae.conftest import stirred

PATHS: tuple[Path, ...] = ("dense", "sparse")
DEAD = DeadSet(torch.arange(3, 78, 5), 15)
MASK = torch.zeros(80, dtype=torch.bool).index_fill(0, DEAD.indices, True)


def made(generator: torch.Generator, **options: float | str) -> BatchTopKSAE:
    sae = stirred("batch_topk", generator, k=6, **options)
    assert isinstance(sae, BatchTopKSAE)
    return sae


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
@pytest.mark.parametrize("dead", [None, DEAD])
def test_terms_and_gradients_are_those_of_the_formulas(
    path: Path, decoder_norm: str, dead: DeadSet | None, x: Tensor, generator: torch.Generator
) -> None:
    sae = made(generator, decoder_norm=decoder_norm, aux_k=12, aux_k_alpha=0.5)
    losses = sae.loss(x, dead=dead, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    wanted = topk_reference.selecting(
        sae, x, x, k=6, over_batch=True, dead=None if dead is None else MASK, aux_k=12, alpha=0.5
    )
    reference.assert_renders(sae, losses.terms, wanted)
    assert (float(losses.terms["aux"].detach()) > 0.01) == (dead is not None)
    assert int(losses.statistics.active) == 6 * 96


def test_tokens_share_the_budget_unevenly(x: Tensor, generator: torch.Generator) -> None:
    sae = made(generator)
    accumulate(sae, x)
    active = (sae.encode(x) > 0).sum(1)
    assert int(active.min()) < 6 < int(active.max())


def test_micro_batches_keep_what_the_whole_batch_keeps(x: Tensor, generator: torch.Generator) -> None:
    """One token more than its share for one micro-batch, fewer for another."""
    x = torch.cat([x[:50] * 0.1, x[50:] * 3.0])
    sae = made(generator)
    whole = accumulate(sae, x).statistics
    parts = accumulate(sae, x, micro_batch=50).statistics
    assert torch.equal(parts.fired, whole.fired) and int(whole.active) == 6 * 96
    assert parts.smallest_kept is not None and whole.smallest_kept is not None
    assert float(parts.smallest_kept) == pytest.approx(float(whole.smallest_kept), rel=1e-6)
    assert int(sae.loss(x[:50]).statistics.active) == 300, "by itself the first part would keep a share of its own"


def test_the_threshold_follows_the_smallest_kept_activation(x: Tensor, generator: torch.Generator) -> None:
    sae = made(generator)
    smallest = [
        float(part.relu().flatten().topk(192).values[-1]) for part in torch.split(sae.pre_activations(x).detach(), 32)
    ]
    for count, part in enumerate(torch.split(x, 32), 1):
        accumulate(sae, part)
        assert float(sae.threshold) == pytest.approx(sum(smallest[:count]) / count, rel=1e-5), "a mean at first"
    assert int(sae.threshold_batches) == 3
    sae.threshold_batches.fill_(10_000)
    before = float(sae.threshold)
    accumulate(sae, x[:32])
    assert float(sae.threshold) == pytest.approx(0.99 * before + 0.01 * smallest[0], rel=1e-5)


def test_looking_does_not_move_the_threshold(x: Tensor, generator: torch.Generator) -> None:
    sae = made(generator)
    accumulate(sae, x)
    before = sae.threshold.clone()
    sae.loss(x)
    sae.measure(x * 2)
    sae(x)
    assert torch.equal(sae.threshold, before)


def test_a_batch_that_keeps_nothing_leaves_the_threshold_alone(x: Tensor, generator: torch.Generator) -> None:
    sae = made(generator)
    accumulate(sae, x)
    before = sae.threshold.clone()
    with torch.no_grad():
        sae.b_enc.fill_(-1000.0)
    losses = accumulate(sae, x)
    assert int(losses.statistics.active) == 0 and bool(torch.isfinite(losses.total))
    assert torch.equal(sae.threshold, before) and int(sae.threshold_batches) == 1


def test_held_out_tokens_are_judged_by_the_threshold_each_for_itself(x: Tensor, generator: torch.Generator) -> None:
    sae = made(generator)
    accumulate(sae, x)
    z = sae.encode(x)
    assert torch.equal(z, torch.where(sae.pre_activations(x) > sae.threshold, sae.pre_activations(x), 0.0))
    whole, sums = sae.measure(x).statistics, IntervalSums(80, 24)
    for part in torch.split(x, 1):
        sums.add(part, sae.measure(part))
    assert torch.equal(whole.fired, (z > 0).sum(0))
    assert float(whole.squared_error) == pytest.approx(float((sae.decode(z) - x).square().sum()), rel=1e-5)
    assert sums.read()["l0"] == pytest.approx(int(whole.active) / 96)


def test_the_trained_threshold_gives_the_asked_l0_and_survives_a_checkpoint(generator: torch.Generator) -> None:
    directions = torch.randn(60, 24, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)

    def tokens(count: int) -> Tensor:
        present = (torch.rand(count, 60, generator=generator) < 0.08) * torch.rand(count, 60, generator=generator)
        return present @ directions * 3 + 0.05 * torch.randn(count, 24, generator=generator)

    sae = build("batch_topk", 24, 24, 80, generator, k=5)
    optimizer = torch.optim.Adam(sae.parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        accumulate(sae, tokens(256))
        sae.before_step()
        optimizer.step()
        sae.after_step()
    held_out = tokens(4096)
    l0 = int(sae.measure(held_out).statistics.active) / 4096
    assert l0 == pytest.approx(5.0, rel=0.1)

    again = build("batch_topk", 24, 24, 80, torch.Generator(), k=5)
    again.load_state_dict(sae.state_dict())
    assert isinstance(sae, BatchTopKSAE) and isinstance(again, BatchTopKSAE)
    assert torch.equal(again.threshold, sae.threshold) and int(again.threshold_batches) == 300
    assert torch.equal(again.encode(held_out), sae.encode(held_out))
    for twin in (sae, again):
        accumulate(twin, held_out)
    assert torch.equal(again.threshold, sae.threshold), "and goes on the same"


def test_the_sparse_path_makes_nothing_wide_but_h(generator: torch.Generator) -> None:
    """One (B, F), which is h, and no (B, k, d)."""
    d, latents, tokens, k = 32, 512, 1024, 8
    sae = build("batch_topk", d, d, latents, generator, k=k)
    x = torch.randn(tokens, d, generator=generator)
    accumulate(sae, x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        accumulate(sae, x)
    allocations = [event.self_cpu_memory_usage for event in profile.events() or []]
    h = tokens * latents * 4
    assert [size for size in allocations if size >= h] == [h]
    assert not [size for size in allocations if tokens * k * d * 4 <= size < h]
