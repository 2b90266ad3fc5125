"""`saetui selftest --full` in small: it judges the defaults, and a wrong one shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from saetui.errors import InvalidInput
from saetui.spec.architectures import ARCHITECTURES
from saetui.training.tasks.selftest import (
    BOUNDS,
    Bound,
    FullRow,
    Sizes,
    asked,
    full_selftest,
    make_material,
    try_defaults,
)

SMALL = Sizes(d=64, features=640, active=6.0, batch=256, steps=400, pool=16_384, held_out=2048)
BOUND = Bound(fvu=0.37, l0=(6, 6), found=0.08)
"""topk comes to an FVU of .330 and finds .15; at a rate of 1e-3 to .409 and .01."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tried(**changed: Any) -> FullRow:
    return try_defaults("topk", BOUND, SMALL, changed)


def test_the_defaults_reach_the_bound() -> None:
    row = tried()
    assert row.passed, row
    assert row.why == "" and row.l0 == 6 and row.dead < 0.05 and row.mcc > 0.5


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"learning_rate": 1e-3}, "of the latents found a feature, not 8%; FVU 0.4"),
        ({"learning_rate": 1.0}, "of the latents dead, more than 5%"),
    ],
)
def test_a_wrong_default_is_named(changed: dict[str, Any], why: str) -> None:
    row = tried(**changed)
    assert not row.passed
    assert why in row.why


def test_codes_less_sparse_than_expected_are_named() -> None:
    row = try_defaults("topk", BOUND, dataclasses.replace(SMALL, steps=2), {"k": 24})
    assert "L0 24, not between 6 and 6" in row.why


def test_a_transcoder_is_judged_by_what_it_writes() -> None:
    spec, settings = asked("transcoder", SMALL, {})
    material = make_material("transcoder", spec, SMALL)
    read, written = (material.held_out[f"layer_0.{point}"] for point in ("mlp_in", "mlp_out"))
    towards = material.directions @ (written - written.mean(0)).t()
    elsewhere = material.directions @ (read - read.mean(0)).t()
    # The features' own directions hold most of what is written, and no more of what is read than any others.
    assert float(towards.amax(0).mean()) > 1.5 * float(elsewhere.amax(0).mean())
    assert settings.k == 6


def test_every_architecture_has_a_bound() -> None:
    assert set(BOUNDS) == set(ARCHITECTURES)


def test_an_unknown_architecture_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(InvalidInput, match="'relu' is unknown"):
        full_selftest(["topk", "relu"])
