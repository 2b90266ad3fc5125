"""What a step has made is freed when it ends, by counting references: a cycle would keep it until the garbage collector happens
to look, which is many steps, and hundreds of megabytes, later."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from saetui.sae import DeadSet
from saetui.sae.base import Path
from saetui.sae.options import Option
from tests.sae.conftest import stirred

EVERY: list[tuple[str, dict[str, Option]]] = [
    ("standard", {"ghost_gradients": True}),
    ("standard", {"decoder_norm": "free", "tie_weights": True}),
    ("jumprelu", {"pre_activation_alpha": 0.1, "ghost_gradients": True}),
    ("jumprelu", {"sparsity_mode": "quadratic", "l0_target": 3.0}),
    ("jumprelu", {"sparsity_mode": "tanh", "decoder_norm": "free"}),
    ("gated", {"ghost_gradients": True}),
    ("topk", {"k": 4}),
    ("batch_topk", {"k": 4}),
    ("matryoshka", {"k": 4, "widths": [20, 80]}),
    ("skip", {"ghost_gradients": True}),
    ("transcoder", {"k": 4}),
    ("transcoder", {"k": None}),
    ("skip_transcoder", {"k": 4}),
]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    gc.disable()
    gc.collect()
    yield
    gc.enable()


def cyclic_tensors() -> list[tuple[int, ...]]:
    """The shapes of tensors that nothing but a cycle of references keeps."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = [tuple(thing.shape) for thing in gc.garbage if isinstance(thing, Tensor)]
    gc.garbage.clear()
    return found


@pytest.mark.parametrize("path", ["dense", "sparse"])
@pytest.mark.parametrize(("architecture", "options"), EVERY)
def test_a_step_leaves_no_tensors_in_cycles(
    architecture: str, options: dict[str, Option], path: Path, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred(architecture, generator, **options)
    dead = DeadSet(torch.arange(0, 80, 3), 27)
    target = x if architecture == "skip" else x + 1.0
    losses = sae.loss(x, target, sparsity_coefficient=0.02, dead=dead, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    del losses
    assert not cyclic_tensors()


def test_a_cycle_would_be_found() -> None:
    holder: list[object] = [torch.zeros(3)]
    holder.append(holder)
    del holder
    assert cyclic_tensors() == [(3,)]
