"""Resampling (Bricken et al. 2023) and ghost gradients (Anthropic, January 2024)."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from saetui.sae import Candidates, DeadSet, GatedSAE, JumpReLUSAE, SparseAutoencoder, resample_dead, reset_moments
from saetui.training.gradient_step import accumulate
from tests.sae.conftest import stirred
from tests.sae.reference import assert_close, leaves

DEAD = DeadSet(torch.tensor([4, 17]), 2)


def silence(sae: SparseAutoencoder) -> None:
    """No latent fires: a row's error is its own norm."""
    with torch.no_grad():
        sae.W_enc.zero_()
        sae.b_enc.fill_(-1.0)
        sae.b_dec.zero_()


def silent(generator: torch.Generator) -> SparseAutoencoder:
    sae = stirred("standard", generator)
    silence(sae)
    return sae


def two_inputs() -> Tensor:
    """Of loss 1 and 4."""
    return torch.tensor([[1.0] + [0.0] * 23, [0.0, 2.0] + [0.0] * 22])


def test_dead_latents_take_badly_reconstructed_inputs(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    bad = [11, 33]
    x[bad] = 1000.0 * torch.randn(2, 24, generator=generator)
    living = [i for i in range(80) if i not in (4, 17)]
    before = {name: p.detach().clone() for name, p in sae.named_parameters()}
    resample_dead(sae, DEAD, x, generator)
    directions = torch.nn.functional.normalize(x[bad] - sae.b_dec.detach(), dim=1)
    if torch.dot(sae.W_dec[4].detach(), directions[0]) < 0.9:
        directions = directions.flip(0)
    torch.testing.assert_close(sae.W_dec[[4, 17]].detach(), directions, atol=1e-5, rtol=0)
    wanted = 0.2 * before["W_enc"][:, living].norm(dim=0).mean()
    torch.testing.assert_close(sae.W_enc[:, [4, 17]].detach(), directions.t() * wanted, atol=1e-5, rtol=0)
    assert not sae.b_enc[[4, 17]].any()
    assert torch.equal(sae.W_dec[living], before["W_dec"][living])
    assert torch.equal(sae.W_enc[:, living], before["W_enc"][:, living])
    assert torch.equal(sae.b_dec, before["b_dec"])


def test_inputs_are_drawn_in_proportion_to_their_squared_loss(generator: torch.Generator) -> None:
    sae = silent(generator)
    one = DeadSet(torch.tensor([4]), 1)
    firsts = 0
    for _ in range(2000):
        resample_dead(sae, one, two_inputs(), generator)
        firsts += int(sae.W_dec[4, 0] > 0.5)
        silence(sae)
    # Losses 1 and 4, squared 1 and 16.
    assert abs(firsts / 2000 - 1 / 17) < 0.02


def test_each_input_is_given_to_one_dead_latent(x: Tensor, generator: torch.Generator) -> None:
    """Although one of them has almost all of the loss: two latents on it would stay copies of each other."""
    sae = silent(generator)
    x[33] *= 1000.0
    many = DeadSet(torch.arange(40), 40)
    resample_dead(sae, many, x, generator)
    rows = sae.W_dec[:40].detach()
    alike = rows @ rows.t() - torch.eye(40)
    assert float(alike.max()) < 0.999


def test_where_inputs_are_too_few_the_rest_of_the_dead_wait(generator: torch.Generator) -> None:
    sae = silent(generator)
    before = sae.W_dec.detach().clone()
    everyone = DeadSet(torch.arange(80), 80)
    explained = torch.zeros(1, 24)
    resets = resample_dead(sae, everyone, torch.cat([two_inputs(), explained]), generator)
    assert all(reset.indices.tolist() == [0, 1] for reset in resets), "one each; a perfect input needs no latent"
    assert sorted(sae.W_dec[:2].argmax(1).tolist()) == [0, 1]
    assert torch.equal(sae.W_dec[2:], before[2:])


def test_candidates_come_from_every_batch_before_a_resampling() -> None:
    candidates = Candidates(every=20)
    for step in range(1, 21):
        candidates.offer(torch.full((600, 3), float(step)), None, step)
    rows, target = candidates.take()
    assert target is None
    taken = Counter(rows[:, 0].tolist())
    assert taken == dict.fromkeys(range(5, 21), 512), "of the last 16 batches as many"
    for step in range(21, 41):
        candidates.offer(torch.full((600, 3), float(step)), None, step)
    assert set(candidates.take()[0][:, 0].tolist()) == set(range(25, 41)), "none is used twice"


def test_resampling_more_often_takes_all_batches_in_between() -> None:
    candidates = Candidates(every=3)
    for step in (1, 2, 3):
        candidates.offer(torch.full((64, 3), float(step)), torch.full((64, 2), -float(step)), step)
    rows, target = candidates.take()
    assert target is not None
    assert rows[:, 0].tolist() == (-target[:, 0]).tolist() == [1.0] * 64 + [2.0] * 64 + [3.0] * 64


def test_gathered_candidates_are_part_of_the_state() -> None:
    through, resumed = Candidates(every=4), Candidates(every=4)
    batches = [torch.randn(8, 3) for _ in range(4)]
    assert through.state() == {}
    for step, batch in enumerate(batches, 1):
        through.offer(batch, None, step)
        if step == 2:
            resumed.load_state(through.state())
        elif step > 2:
            resumed.offer(batch, None, step)
    assert torch.equal(through.take()[0], resumed.take()[0])


def test_the_optimiser_forgets_what_it_knew_of_them(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-3)
    accumulate(sae, x)
    optimizer.step()
    reset_moments(optimizer, resample_dead(sae, DEAD, x, generator))
    for moment in ("exp_avg", "exp_avg_sq"):
        assert not optimizer.state[sae.W_dec][moment][[4, 17]].any()
        assert not optimizer.state[sae.W_enc][moment][:, [4, 17]].any()
        assert not optimizer.state[sae.b_enc][moment][[4, 17]].any()
        assert optimizer.state[sae.W_dec][moment][5:16].any()
    assert float(optimizer.state[sae.W_dec]["step"]) == 1


def test_nothing_dead_changes_nothing(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    before = sae.W_dec.detach().clone()
    assert resample_dead(sae, None, x, generator) == []
    assert torch.equal(sae.W_dec, before)


def test_a_resampled_jumprelu_latent_has_a_threshold_in_proportion_to_its_encoder(
    x: Tensor, generator: torch.Generator
) -> None:
    sae = stirred("jumprelu", generator, initial_threshold=3.0)
    assert isinstance(sae, JumpReLUSAE)
    with torch.no_grad():
        sae.threshold[DEAD.indices] = 50.0
    living = [i for i in range(80) if i not in (4, 17)]
    before = sae.threshold.detach().clone()
    resets = resample_dead(sae, DEAD, x, generator)
    assert torch.allclose(sae.threshold[DEAD.indices], 0.2 * before[living].mean())
    assert torch.equal(sae.threshold[living], before[living])
    assert {id(reset.parameter) for reset in resets} >= {id(sae.threshold), id(sae.b_enc), id(sae.W_enc)}
    assert bool(sae.encode(x)[:, DEAD.indices].any(dim=0).all()), "they fire again"


def test_a_resampled_gated_latent_has_gate_and_magnitude_anew(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("gated", generator)
    assert isinstance(sae, GatedSAE)
    with torch.no_grad():
        sae.b_gate[DEAD.indices] = -50.0
    resets = resample_dead(sae, DEAD, x, generator)
    for parameter in (sae.b_gate, sae.r_mag, sae.b_mag):
        assert not parameter[DEAD.indices].any() and parameter.any()
        assert any(reset.parameter is parameter for reset in resets)
    assert bool(sae.encode(x)[:, DEAD.indices].any(dim=0).all()), "they fire again"


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_ghost_gradients_are_those_of_the_formula(architecture: str, x: Tensor, generator: torch.Generator) -> None:
    sae = stirred(architecture, generator, ghost_gradients=True)
    with torch.no_grad():
        sae.encoder_bias[DEAD.indices] -= 8.0
    losses, without = sae.loss(x, dead=DEAD), sae.loss(x)
    aux = losses.terms["aux"] - without.terms["aux"]
    aux.backward()  # type: ignore[no-untyped-call]
    p = leaves(sae)
    e = (x - sae(x)).detach().double()
    a = (x.double() - p["b_dec"].detach()) @ p["W_enc"]
    # gated: gate and magnitude share the work, for either may be what keeps a latent silent.
    gated = architecture == "gated"
    h = (a + p["b_gate"] + p["r_mag"].exp() * a + p["b_mag"]) / 2 if gated else a + p["b_enc"]
    ghost = h[:, DEAD.indices].exp() @ p["W_dec"][DEAD.indices]
    ghost = ghost * (0.5 * e.norm(dim=1) / ghost.norm(dim=1)).detach()[:, None]
    error = ((ghost - e) ** 2).mean(1)
    term = (error * ((e**2).mean(1) / error).detach()).mean()
    term.backward()
    assert_close(aux, term.detach(), "ghost term", 1e-4)
    names = ("W_dec", "W_enc", *(("b_gate", "r_mag", "b_mag") if gated else ("b_enc",)))
    for name in names:
        wanted = p[name].grad
        assert wanted is not None
        assert_close(sae.get_parameter(name).grad, wanted, name, 1e-4)
    assert sae.W_enc.grad is not None and sae.W_enc.grad[:, 4].any() and not sae.W_enc.grad[:, 5].any()


def test_no_ghosts_while_nothing_is_dead(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator, ghost_gradients=True)
    assert float(accumulate(sae, x).terms["aux"]) == 0.0
