"""Which entries are kept: exactly the largest, however they lie."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.sae.kernels.selection import (
    Above,
    LargestOfAll,
    LargestOfEach,
    Selection,
    codes_of_fixed_number,
    floor_of,
    largest_values,
)
from saetui.sae.kernels.sparse import Codes


def spread(codes: Codes, shape: torch.Size) -> Tensor:
    z = torch.zeros(shape)
    z[codes.rows, codes.indices] = codes.values
    return z


def largest(h: Tensor, count: int) -> Tensor:
    """By a full sort: what every selection over the batch is held against."""
    cut = h.relu().flatten().sort(descending=True).values[min(count, h.numel()) - 1]
    return torch.where((h >= cut) & (h > 0), h, 0.0)


def uneven(kind: str, generator: torch.Generator) -> Tensor:
    h = torch.randn(200, 30, generator=generator)
    if kind == "sampled rows large":
        h[::3] += 5.0  # the guess from every third row is far above the true cut
    elif kind == "other rows large":
        h[1::3] += 5.0
    elif kind == "few positive":
        h -= 3.0
    return h


@pytest.mark.parametrize("kind", ["even", "sampled rows large", "other rows large", "few positive"])
@pytest.mark.parametrize("count", [1, 800, 5999, 6000])
def test_the_largest_of_a_batch_are_kept_and_no_others(kind: str, count: int, generator: torch.Generator) -> None:
    h = uneven(kind, generator)
    wanted = largest(h, count)
    selection = LargestOfAll(count)
    assert torch.equal(spread(selection.codes(h), h.shape), wanted)
    assert torch.equal(selection.dense(h), wanted)
    # What an accelerator does, where the number of entries must not depend on what they are.
    fixed = codes_of_fixed_number(h, count, 0.0)
    assert torch.equal(spread(fixed, h.shape), wanted) and fixed.values.shape == (count,)
    assert int((wanted > 0).sum()) == min(count, int((h > 0).sum()))


def test_the_parts_of_a_batch_keep_together_what_the_whole_keeps(generator: torch.Generator) -> None:
    h = uneven("other rows large", generator)
    found = torch.cat([largest_values(part, 700) for part in torch.split(h, 64)])
    selection = LargestOfAll(700, floor_of(found, 700))
    for select in (
        lambda part: spread(selection.codes(part), part.shape),
        lambda part: spread(codes_of_fixed_number(part, 700, floor_of(found, 700)), part.shape),
        selection.dense,
    ):
        assert torch.equal(torch.cat([select(part) for part in torch.split(h, 64)]), largest(h, 700))


@pytest.mark.parametrize("selection", [LargestOfEach(4), LargestOfAll(300), Above(torch.tensor(0.7))])
def test_sparse_and_dense_select_the_same(selection: Selection, generator: torch.Generator) -> None:
    h = torch.randn(90, 20, generator=generator)
    codes = selection.codes(h)
    assert torch.equal(spread(codes, h.shape), selection.dense(h))
    assert int(codes.starts[-1]) == codes.values.shape[0]
    assert torch.equal(codes.rows, torch.repeat_interleave(torch.arange(90), codes.starts.diff()))


@pytest.mark.parametrize("k", [1, 5, 30])
@pytest.mark.parametrize("kind", ["even", "few positive", "equal ones", "few and equal", "many rows"])
def test_each_token_keeps_its_k_largest(kind: str, k: int, generator: torch.Generator) -> None:
    # More rows than a block has, so that some begin within it.
    h = torch.randn(40_000, 30, generator=generator) if kind == "many rows" else uneven(kind, generator)
    if kind == "equal ones":
        h = h.mul(2).round()
    if kind == "few and equal":
        # Row 0 has more equal ones than it may keep; the rest so few that together there are not too many.
        h = -h.abs()
        h[0] = 1.0
    values = h.topk(k, dim=1).values.relu()
    codes = LargestOfEach(k).codes(h)
    z = spread(codes, h.shape)
    assert torch.equal(z.topk(k, dim=1).values, values)
    assert torch.equal((z > 0).sum(1), (values > 0).sum(1))
    assert bool((codes.values > 0).all())
    assert torch.equal(z, LargestOfEach(k).dense(h))
    assert bool(((z == 0) | (z == h)).all())


def test_what_is_not_a_number_is_kept_so_that_it_is_seen(generator: torch.Generator) -> None:
    h = torch.randn(200, 30, generator=generator)
    h[70, 3] = torch.nan
    h[71] = torch.nan
    codes = LargestOfEach(4).codes(h)
    assert torch.equal(codes.rows[codes.values.isnan()], torch.tensor([70, 71, 71, 71, 71]))


def test_of_no_tokens_nothing_is_kept() -> None:
    codes = LargestOfEach(4).codes(torch.empty(0, 30))
    assert codes.values.shape == codes.indices.shape == (0,) and codes.starts.tolist() == [0]


def test_where_nothing_is_positive_nothing_is_kept() -> None:
    h = -torch.ones(5, 6)
    for selection in (LargestOfAll(7), Above(torch.tensor(0.0))):
        assert selection.codes(h).values.shape == (0,)
        assert not selection.dense(h).any()
