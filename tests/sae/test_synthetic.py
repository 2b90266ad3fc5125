"""Synthetic activations have what makes real ones hard: unequal frequencies, correlation, a hierarchy."""

from __future__ import annotations

import pytest
import torch

from saetui.sae.synthetic import SyntheticFeatures, SyntheticSpace, matched


@pytest.fixture
def features(generator: torch.Generator) -> SyntheticFeatures:
    return SyntheticFeatures.make(count=128, active=8.0, generator=generator)


def test_features_fire_as_often_as_zipfs_law_says(features: SyntheticFeatures, generator: torch.Generator) -> None:
    fired = (features.strengths(20_000, generator) > 0).float()
    assert float(fired.sum(1).mean()) == pytest.approx(8.0, rel=0.05)
    frequency = fired.mean(0)
    assert float(frequency.max()) == pytest.approx(0.4, abs=0.02)
    # One with a parent that it is correlated with is there a little more or less often than it would be.
    roots = features.parents < 0
    torch.testing.assert_close(frequency[roots], features.probabilities[roots], rtol=0.15, atol=0.004)
    assert float(frequency[:8].mean()) > 20 * float(frequency[-32:].mean())


def test_a_rare_feature_fires_only_where_its_parent_does(
    features: SyntheticFeatures, generator: torch.Generator
) -> None:
    children = (features.parents >= 0).nonzero().reshape(-1)
    assert len(children) == 32 and int(children.min()) >= 64
    present = features.strengths(20_000, generator) > 0
    assert bool(present[:, children].any())
    assert not bool((present[:, children] & ~present[:, features.parents[children]]).any())


def test_some_features_come_together_and_others_keep_apart(
    features: SyntheticFeatures, generator: torch.Generator
) -> None:
    fired = (features.strengths(20_000, generator) > 0).float()[:, :16]
    correlation = torch.corrcoef(fired.t()) - torch.eye(16)
    # Independent ones would stay within some .03 of 0.
    assert float(correlation.max()) > 0.08
    assert float(correlation.min()) < -0.05


def test_one_seed_gives_one_benchmark() -> None:
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    one, other = (SyntheticFeatures.make(64, 4.0, generator) for generator in (first, second))
    assert torch.equal(one.strengths(100, first), other.strengths(100, second))


def test_a_latent_counts_for_one_feature_only(generator: torch.Generator) -> None:
    space = SyntheticSpace.make(40, 16, generator)
    assert matched(3.0 * space.directions.flip(0), space.directions).tolist() == pytest.approx([1.0] * 40)
    repeated = space.directions[:1].expand(40, 16)
    found = matched(repeated, space.directions)
    assert float(found[0]) == pytest.approx(1.0)
    assert int((found > 0.99).sum()) == 1
    assert matched(space.directions[:10], space.directions).gt(0.99).sum() == 10
