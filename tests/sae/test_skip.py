"""`skip`: the copy helps the loss and flatters no metric."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import IntervalSums, build
from saetui.sae.base import Path
from tests.sae import reference, topk_reference
from tests.sae.conftest import stirred

PATHS: tuple[Path, ...] = ("dense", "sparse")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("c", [0.0, 0.1, 0.5])
def test_terms_and_gradients_are_those_of_the_formulas(
    path: Path, c: float, x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("skip", generator, skip_coeff=c)
    losses = sae.loss(x, sparsity_coefficient=0.02, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    reference.assert_renders(sae, losses.terms, topk_reference.copying(sae, x, 0.02, c))


def test_what_is_judged_is_decode_alone(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("skip", generator, skip_coeff=0.5)
    losses = sae.measure(x)
    assert torch.equal(sae(x), sae.decode(sae.encode(x)))
    assert float(losses.statistics.squared_error) == pytest.approx(float((sae(x) - x).square().sum()), rel=1e-5)
    assert float(losses.terms["recon"]) * x.numel() == pytest.approx(
        0.25 * float(losses.statistics.squared_error), rel=1e-5
    )


def test_with_all_latents_off_its_fvu_is_one_or_more(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("skip", generator, skip_coeff=0.5)
    with torch.no_grad():
        sae.b_enc.fill_(-1000.0)
    assert not sae.encode(x).any()
    for centre in (x.mean(0), torch.zeros(24)):
        with torch.no_grad():
            sae.b_dec.copy_(centre)
        sums = IntervalSums(80, 24)
        sums.add(x, sae.measure(x))
        assert sums.read()["fvu"] >= 1.0 - 1e-6


def test_a_copy_of_something_else_and_too_much_of_it_are_refused(x: Tensor, generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match=r"skip_coeff is 0\.6"):
        build("skip", 24, 24, 80, generator, skip_coeff=0.6)
    with pytest.raises(InvalidInput, match="width 24 to width 10"):
        build("skip", 24, 10, 80, generator)
    with pytest.raises(InvalidInput, match="no other target"):
        stirred("skip", generator).loss(x, x + 1)
