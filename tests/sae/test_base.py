"""What every architecture keeps: its start, the step's hooks, exact micro-batches, checkpoints."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput
from saetui.sae import DeadSet, SparseAutoencoder, build, build_from
from saetui.sae.base import ENCODER_START
from saetui.sae.options import Option
from saetui.training.gradient_step import accumulate
from tests.sae.conftest import stirred
from tests.sae.reference import assert_close

EVERY = [
    ("standard", {}),
    ("standard", {"decoder_norm": "free"}),
    ("standard", {"tie_weights": True}),
    ("standard", {"ghost_gradients": True}),
    ("jumprelu", {"bandwidth": 0.5, "ghost_gradients": True}),
    ("jumprelu", {"sparsity_mode": "quadratic", "l0_target": 9.0, "pre_activation_alpha": 0.1}),
    ("jumprelu", {"sparsity_mode": "tanh", "decoder_norm": "free"}),
    ("gated", {"decoder_norm": "free", "ghost_gradients": True}),
    ("topk", {"k": 6}),
    ("batch_topk", {"k": 6}),
    ("matryoshka", {"k": 6, "widths": [7, 40, 80]}),
    ("skip", {"skip_coeff": 0.2}),
]
DEAD = DeadSet(torch.arange(3, 78, 5), 15)


def gradients(sae: SparseAutoencoder) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in sae.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("architecture", "options"), EVERY)
def test_the_start_is_unit_rows_their_transpose_and_zero_biases(
    architecture: str, options: dict[str, Option], generator: torch.Generator
) -> None:
    sae = build(architecture, 24, 24, 80, generator, **options)
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(80))
    start = 1.0 if options.get("tie_weights") else ENCODER_START
    assert torch.equal(sae.encoder_weight, sae.W_dec.t() * start)
    assert not sae.encoder_bias.any() and not sae.b_dec.any()


@pytest.mark.parametrize(("architecture", "options"), [*EVERY, ("skip_transcoder", {"k": 6})])
def test_a_reconstruction_in_blocks_is_the_forward_pass(
    architecture: str, options: dict[str, Option], generator: torch.Generator
) -> None:
    sae = stirred(architecture, generator, **options)
    x = torch.randn(1300, 24, generator=generator)
    whole = sae(x)
    assert whole.requires_grad
    parts = sae.reconstruct(x)
    assert not parts.requires_grad
    assert_close(parts, whole.detach(), "x̂")


def test_the_same_seed_gives_the_same_sae() -> None:
    one, other, third = (build("topk", 8, 8, 16, torch.Generator().manual_seed(s), k=2) for s in (1, 1, 2))
    assert torch.equal(one.W_dec, other.W_dec)
    assert not torch.equal(one.W_dec, third.W_dec)


def test_b_dec_starts_at_the_centre_of_the_first_tokens(generator: torch.Generator) -> None:
    tokens = torch.randn(500, 8, generator=generator) + 3.0
    tokens[:25] += 1000.0
    sae = build("topk", 8, 8, 16, generator, k=2)
    sae.initialise_bias(tokens)
    assert torch.allclose(sae.b_dec, tokens.mean(0), atol=1e-4)
    sae.initialise_bias(tokens, "geometric_median")
    assert float((sae.b_dec.detach() - 3.0).abs().max()) < 0.3, "a few huge tokens do not move the median"
    with pytest.raises(InvalidInput, match="no tokens"):
        sae.initialise_bias(tokens[:0])


@pytest.mark.parametrize(("architecture", "options"), EVERY)
@pytest.mark.parametrize("dead", [None, DEAD])
@pytest.mark.parametrize("micro_batch", [1000, 32, 37])
def test_micro_batches_add_up_to_the_batch(
    architecture: str,
    options: dict[str, Option],
    dead: DeadSet | None,
    micro_batch: int,
    x: Tensor,
    generator: torch.Generator,
) -> None:
    sae = stirred(architecture, generator, **options)
    whole = accumulate(sae, x, sparsity_coefficient=0.01, dead=dead)
    wanted = gradients(sae)
    sae.zero_grad()
    parts = accumulate(sae, x, sparsity_coefficient=0.01, dead=dead, micro_batch=micro_batch)
    for name, term in whole.terms.items():
        assert_close(parts.terms[name], term, name)
    for name, gradient in gradients(sae).items():
        assert_close(gradient, wanted[name], name)
    assert torch.equal(parts.statistics.fired, whole.statistics.fired)
    assert parts.statistics.tokens == 96
    assert_close(parts.statistics.squared_error, whole.statistics.squared_error, "squared error")


def test_fractions_of_a_step_add_up(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    accumulate(sae, x, sparsity_coefficient=0.01)
    wanted = gradients(sae)
    sae.zero_grad()
    accumulate(sae, x[:60], sparsity_coefficient=0.01, fraction=60 / 96)
    accumulate(sae, x[60:], sparsity_coefficient=0.01, fraction=36 / 96)
    for name, gradient in gradients(sae).items():
        assert_close(gradient, wanted[name], name)


def test_unit_rows_stay_unit_and_lose_the_parallel_gradient(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    optimizer = torch.optim.Adam(sae.parameters(), lr=0.1)
    accumulate(sae, x)
    sae.before_step()
    assert sae.W_dec.grad is not None
    parallel = (sae.W_dec.grad * sae.W_dec.detach()).sum(1)
    assert float(parallel.abs().max()) < 1e-6 * float(sae.W_dec.grad.norm())
    optimizer.step()
    assert float((sae.W_dec.detach().norm(dim=1) - 1).abs().max()) > 1e-3
    sae.after_step()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(80))


def test_free_rows_are_left_alone(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator, decoder_norm="free")
    accumulate(sae, x)
    before, gradient = sae.W_dec.detach().clone(), gradients(sae)["W_dec"]
    sae.before_step()
    sae.after_step()
    assert torch.equal(sae.W_dec, before) and torch.equal(gradients(sae)["W_dec"], gradient)


@pytest.mark.parametrize(("architecture", "options"), EVERY)
def test_a_description_and_a_state_make_the_same_sae(
    architecture: str, options: dict[str, Option], x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred(architecture, generator, **options)
    again = build_from(json.loads(json.dumps(sae.description)))
    again.load_state_dict(sae.state_dict())
    assert again.description == sae.description
    assert torch.equal(again(x), sae(x))
    assert all(tensor.is_contiguous() for tensor in sae.state_dict().values())


@pytest.mark.parametrize(("architecture", "options"), EVERY)
def test_gradients_are_contiguous_so_that_fused_adam_takes_them(
    architecture: str, options: dict[str, Option], x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred(architecture, generator, **options)
    accumulate(sae, x, sparsity_coefficient=0.01, dead=DEAD)
    assert all(gradient.is_contiguous() for gradient in gradients(sae).values())


def test_what_cannot_be_built_is_refused_by_name(generator: torch.Generator) -> None:
    with pytest.raises(InvalidInput, match="'relu' is unknown"):
        build("relu", 8, 8, 16, generator)
    with pytest.raises(InvalidInput, match="standard has no option l1"):
        build("standard", 8, 8, 16, generator, l1=3)
    with pytest.raises(InvalidInput, match="latents is 0"):
        build("standard", 8, 8, 0, generator)
    with pytest.raises(InvalidInput, match="'huge'"):
        build("standard", 8, 8, 16, generator, decoder_norm="huge")
    with pytest.raises(InvalidInput, match="lacks"):
        build_from({"architecture": "standard"})
