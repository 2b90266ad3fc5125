"""Transcoders predict one thing from another, by k or by L1, with and without the linear path."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import DeadSet, IntervalSums, SparseAutoencoder, build
from saetui.sae.base import Path
from saetui.sae.options import Option
from saetui.training.gradient_step import accumulate
from tests.sae import reference, topk_reference
from tests.sae.reference import assert_close

PATHS: tuple[Path, ...] = ("dense", "sparse")
BOTH = pytest.mark.parametrize("architecture", ["transcoder", "skip_transcoder"])
DEAD = DeadSet(torch.arange(3, 78, 5), 15)
MASK = torch.zeros(80, dtype=torch.bool).index_fill(0, DEAD.indices, True)


@pytest.fixture
def y(generator: torch.Generator) -> Tensor:
    """Something that has nothing to do with x, of another width."""
    return torch.randn(96, 10, generator=generator) + torch.randn(10, generator=generator)


def made(architecture: str, generator: torch.Generator, **options: Option) -> SparseAutoencoder:
    sae = build(architecture, 24, 10, 80, generator, **options)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    sae.after_step()
    return sae


@BOTH
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("dead", [None, DEAD])
def test_by_k_terms_and_gradients_are_those_of_the_formulas(
    architecture: str, path: Path, dead: DeadSet | None, x: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    sae = made(architecture, generator, k=6, aux_k=12, aux_k_alpha=0.5)
    losses = sae.loss(x, y, dead=dead, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    wanted = topk_reference.selecting(sae, x, y, k=6, dead=None if dead is None else MASK, aux_k=12, alpha=0.5)
    reference.assert_renders(sae, losses.terms, wanted)


@BOTH
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("decoder_norm", ["unit", "free"])
def test_by_l1_terms_and_gradients_are_those_of_the_formulas(
    architecture: str, path: Path, decoder_norm: str, x: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    sae = made(architecture, generator, decoder_norm=decoder_norm)
    losses = sae.loss(x, y, sparsity_coefficient=0.02, path=path)
    losses.total.backward()  # type: ignore[no-untyped-call]
    reference.assert_renders(sae, losses.terms, topk_reference.penalised(sae, x, y, 0.02))


@BOTH
@pytest.mark.parametrize("k", [None, 6])
def test_micro_batches_add_up_to_the_batch(
    architecture: str, k: int | None, x: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    sae = made(architecture, generator, k=k)
    whole = accumulate(sae, x, y, sparsity_coefficient=0.01, dead=DEAD)
    wanted = {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}
    sae.zero_grad()
    parts = accumulate(sae, x, y, sparsity_coefficient=0.01, dead=DEAD, micro_batch=37)
    for name, term in whole.terms.items():
        assert_close(parts.terms[name], term, name)
    for name, parameter in sae.named_parameters():
        assert_close(parameter.grad, wanted[name], name)


@BOTH
@pytest.mark.parametrize("k", [None, 6])
def test_on_random_data_the_loss_is_not_zero(
    architecture: str, k: int | None, x: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    """A loss that compared the prediction with itself, or the input with the input, would be."""
    sae = made(architecture, generator, k=k)
    losses = sae.measure(x, y)
    error = (sae(x) - y).square()
    assert float(losses.terms["recon"]) == pytest.approx(float(error.mean()), rel=1e-5)
    assert float(losses.statistics.squared_error) == pytest.approx(float(error.sum()), rel=1e-5)
    assert float(losses.terms["recon"]) > 0.5
    sums = IntervalSums(80, 10)
    sums.add(y, losses)
    assert sums.read()["fvu"] > 0.5


@BOTH
@pytest.mark.parametrize("k", [None, 6])
def test_a_missing_target_is_an_error_not_the_input(
    architecture: str, k: int | None, x: Tensor, generator: torch.Generator
) -> None:
    sae = build(architecture, 24, 24, 80, generator, k=k)
    for judge in (sae.loss, sae.measure, partial(accumulate, sae)):
        with pytest.raises(InvalidInput, match="no target"):
            judge(x)


@BOTH
def test_the_input_is_not_centred_and_the_start_is_no_transpose(
    architecture: str, x: Tensor, y: Tensor, generator: torch.Generator
) -> None:
    sae = build(architecture, 24, 24, 80, generator, k=6)
    assert not torch.allclose(sae.W_enc, sae.W_dec.t(), atol=0.1), "the two spaces are not one"
    before = sae.encode(x)
    with torch.no_grad():
        sae.b_dec.add_(1.0)
    assert torch.equal(sae.encode(x), before)


def test_the_start_takes_the_offsets_of_both_sides_away(x: Tensor, y: Tensor, generator: torch.Generator) -> None:
    sae = build("transcoder", 24, 10, 80, generator, k=6)
    sae.initialise_bias(y, inputs=x)
    assert torch.allclose(sae.b_dec, y.mean(0), atol=1e-5)
    assert float(sae.pre_activations(x).mean(0).abs().max()) < 1e-4


def test_the_linear_path_starts_at_nothing_and_learns_what_is_linear(generator: torch.Generator) -> None:
    sae = build("skip_transcoder", 12, 10, 40, generator, k=2)
    W_skip = dict(sae.named_parameters())["W_skip"]
    assert not W_skip.any()
    with torch.no_grad():
        sae.b_enc.fill_(-100.0)  # no latent fires: what is learned is learned by the path
    linear = torch.randn(12, 10, generator=generator)
    optimizer = torch.optim.Adam(sae.parameters(), lr=0.05)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 300)
        x = torch.randn(256, 12, generator=generator)
        optimizer.zero_grad()
        losses = accumulate(sae, x, x @ linear + 1.0)
        sae.before_step()
        optimizer.step()
        sae.after_step()
    assert int(losses.statistics.active) == 0
    assert float(losses.terms["recon"]) < 1e-3
    assert torch.allclose(W_skip, linear, atol=0.02)


def test_description_says_how_it_is_made_sparse(generator: torch.Generator) -> None:
    by_k, by_l1 = made("transcoder", generator, k=6), made("transcoder", generator)
    assert (by_k.description["k"], by_l1.description["k"]) == (6, None)
