"""Resampling (Bricken et al. 2023) and ghost gradients (Anthropic, January 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

from saetui.sae import DeadSet, resample_dead, reset_moments
from tests.sae.conftest import stirred
from tests.sae.reference import assert_close, leaves

DEAD = DeadSet(torch.tensor([4, 17]), 2)


def test_a_dead_latent_takes_a_badly_reconstructed_input(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    x[33] = 1000.0 * torch.randn(24, generator=generator)
    living = [i for i in range(80) if i not in (4, 17)]
    before = {name: p.detach().clone() for name, p in sae.named_parameters()}
    resample_dead(sae, DEAD, x, generator)
    direction = (x[33] - sae.b_dec) / (x[33] - sae.b_dec).norm()
    for latent in (4, 17):
        assert torch.allclose(sae.W_dec[latent], direction, atol=1e-5)
        wanted = 0.2 * before["W_enc"][:, living].norm(dim=0).mean()
        assert torch.allclose(sae.W_enc[:, latent], direction * wanted, atol=1e-5)
        assert sae.b_enc[latent] == 0
    assert torch.equal(sae.W_dec[living], before["W_dec"][living])
    assert torch.equal(sae.W_enc[:, living], before["W_enc"][:, living])
    assert torch.equal(sae.b_dec, before["b_dec"])


def test_inputs_are_drawn_in_proportion_to_their_squared_loss(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    with torch.no_grad():
        sae.W_enc.zero_()
        sae.b_enc.fill_(-1.0)
        sae.b_dec.zero_()
    inputs = torch.tensor([[1.0] + [0.0] * 23, [0.0, 2.0] + [0.0] * 22])
    everyone = DeadSet(torch.arange(80), 80)
    firsts = 0
    for _ in range(50):
        resample_dead(sae, everyone, inputs, generator)
        firsts += int((sae.W_dec[:, 0] > 0.5).sum())
        with torch.no_grad():
            sae.W_enc.zero_()
            sae.b_enc.fill_(-1.0)
    # Losses 1 and 4, squared 1 and 16.
    assert abs(firsts / 4000 - 1 / 17) < 0.015


def test_the_optimiser_forgets_what_it_knew_of_them(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator)
    optimizer = torch.optim.Adam(sae.parameters(), lr=1e-3)
    sae.accumulate(x)
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


def test_ghost_gradients_are_those_of_the_formula(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator, ghost_gradients=True)
    with torch.no_grad():
        sae.b_enc[DEAD.indices] -= 8.0
    losses = sae.loss(x, dead=DEAD)
    losses.terms["aux"].backward()  # type: ignore[no-untyped-call]
    p = leaves(sae)
    e = (x - sae(x)).detach().double()
    h = (x.double() - p["b_dec"].detach()) @ p["W_enc"] + p["b_enc"]
    ghost = h[:, DEAD.indices].exp() @ p["W_dec"][DEAD.indices]
    ghost = ghost * (0.5 * e.norm(dim=1) / ghost.norm(dim=1)).detach()[:, None]
    error = ((ghost - e) ** 2).mean(1)
    term = (error * ((e**2).mean(1) / error).detach()).mean()
    term.backward()
    assert_close(losses.terms["aux"], term, "ghost term", 1e-4)
    for name in ("W_enc", "W_dec", "b_enc"):
        gradient = dict(sae.named_parameters())[name].grad
        wanted = p[name].grad
        assert wanted is not None
        assert_close(gradient, wanted, name, 1e-4)
    assert sae.W_enc.grad is not None and sae.W_enc.grad[:, 4].any() and not sae.W_enc.grad[:, 5].any()


def test_no_ghosts_while_nothing_is_dead(x: Tensor, generator: torch.Generator) -> None:
    sae = stirred("standard", generator, ghost_gradients=True)
    assert float(sae.accumulate(x).terms["aux"]) == 0.0
