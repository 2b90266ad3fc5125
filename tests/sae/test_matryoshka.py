"""`matryoshka`: nested prefixes that each reconstruct alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import DeadSet, build
from saetui.sae.base import Path
from saetui.training.gradient_step import accumulate
from tests.sae import reference, topk_reference
from tests.sae.conftest import stirred

PATHS: tuple[Path, ...] = ("dense", "sparse")
DEAD = DeadSet(torch.arange(3, 78, 5), 15)
MASK = torch.zeros(80, dtype=torch.bool).index_fill(0, DEAD.indices, True)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("widths", [None, [7, 40, 80], [80]])
@pytest.mark.parametrize("dead", [None, DEAD])
def test_terms_and_gradients_are_those_of_the_formulas(
    path: Path, widths: list[int] | None, dead: DeadSet | None, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("matryoshka", generator, k=6, widths=widths, aux_k=12, aux_k_alpha=0.5)
    losses = sae.loss(x, dead=dead, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    wanted = topk_reference.selecting(
        sae,
        x,
        x,
        k=6,
        over_batch=True,
        widths=widths or [5, 10, 20, 40, 80],
        dead=None if dead is None else MASK,
        aux_k=12,
        alpha=0.5,
    )
    reference.assert_renders(sae, losses.terms, wanted)


@pytest.mark.parametrize("path", PATHS)
def test_statistics_are_of_all_latents(path: Path, x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("matryoshka", generator, k=6)
    losses = sae.loss(x, path=path)
    accumulate(sae, x)
    error = float(losses.statistics.squared_error)
    assert error == pytest.approx(float((sae(x) - x).square().sum()), rel=0.02), "but for one entry at the threshold"
    by_terms = float(losses.terms["recon"].detach()) * x.numel()
    assert error != pytest.approx(by_terms, rel=0.05), "recon is a mean over narrower ones too"
    assert int(losses.statistics.active) == 6 * 96


def test_one_prefix_is_batch_topk(x: Tensor, generator: torch.Generator) -> None:
    nested = stirred("matryoshka", generator, k=6, widths=[80])
    plain = build("batch_topk", 24, 24, 80, generator, k=6)
    plain.load_state_dict(nested.state_dict())
    one, other = (accumulate(sae, x, dead=DEAD, micro_batch=40) for sae in (nested, plain))
    assert torch.equal(one.total, other.total)
    assert nested.W_enc.grad is not None and plain.W_enc.grad is not None
    assert torch.equal(nested.W_enc.grad, plain.W_enc.grad)


@pytest.mark.parametrize("widths", [[], [10, 40], [40, 10, 80], [10, 10, 80], [0, 80], [10, 80, 160]])
def test_widths_that_are_no_prefixes_are_refused(widths: list[int], generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match="do not rise to 80"):
        build("matryoshka", 24, 24, 80, generator, k=6, widths=widths)


def test_few_latents_have_fewer_default_widths(generator: torch.Generator) -> None:
    assert build("matryoshka", 4, 4, 6, generator, k=2).description["widths"] == [1, 2, 3, 6]
