"""One site's trainer, for every architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from saetui.errors import InvalidInput, TrainingError
from saetui.sae import IntervalSums
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.settings import resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.pairs import pairs_of
from saetui.training.site import SiteTrainer
from tests.training.trainers import BATCH, LATENTS, D, batches, fresh, small, take_steps, train_small

MODES: dict[str, tuple[str, dict[str, Any]]] = {
    **{architecture: (architecture, {}) for architecture in ARCHITECTURES},
    "jumprelu to a target": ("jumprelu", {"sparsity_mode": "quadratic", "l0_target": 4.0}),
    "jumprelu by tanh": ("jumprelu", {"sparsity_mode": "tanh"}),
    "transcoder by L1": ("transcoder", {"k": None, "l1_alpha": 0.02}),
    "skip_transcoder by L1": ("skip_transcoder", {"k": None, "l1_alpha": 0.02}),
    "standard, resampled": ("standard", {"resample_steps": 5, "dead_neuron_window": 128}),
    "gated, resampled": ("gated", {"resample_steps": 5, "dead_neuron_window": 128}),
    "topk with dead latents": ("topk", {"k": 1, "dead_neuron_window": 128}),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("mode", MODES)
def test_pieces_change_nothing_but_rounding(mode: str) -> None:
    architecture, hyperparameters = MODES[mode]
    whole, rows = train_small(architecture, **hyperparameters, num_steps=6)
    pieces, other_rows = train_small(architecture, **hyperparameters, num_steps=6, micro_batch_size=50)
    for name, tensor in whole.sae.state_dict().items():
        torch.testing.assert_close(pieces.sae.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    for row, other in zip(rows, other_rows, strict=True):
        assert other == pytest.approx(row, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_a_restored_trainer_goes_on_bit_for_bit(mode: str) -> None:
    architecture, hyperparameters = MODES[mode]
    spec, settings = small(architecture, **hyperparameters)
    through = fresh(spec, settings)
    stream = batches(spec)
    for step in range(7):
        through.step(next(stream), step)
    state = through.state()
    saved = {name: tensor.clone() for name, tensor in state.tensors.items()}
    state = type(state)(saved, state.values)
    restored = SiteTrainer.restored(through.pair.source, spec, settings, state, torch.device("cpu"))
    rows = take_steps(through, spec, settings, first=7)
    assert take_steps(restored, spec, settings, first=7) == rows
    for name, tensor in through.sae.state_dict().items():
        assert torch.equal(restored.sae.state_dict()[name], tensor), name


def test_a_transcoder_has_units_of_its_own_for_input_and_target() -> None:
    spec, settings = small("transcoder")
    trainer = fresh(spec, settings)
    assert (trainer.pair.source.name, trainer.pair.target.name) == ("layer_1.mlp_in", "layer_1.mlp_out")
    assert trainer.units.source.kind == trainer.units.target.kind == "constant_norm"
    assert trainer.units.source.scale != trainer.units.target.scale
    raw = next(batches(spec))
    target, losses, _ = trainer.measure(raw)
    assert target.square().mean() == pytest.approx(1.0, rel=0.05)
    torch.testing.assert_close(target, raw["layer_1.mlp_out"] * trainer.units.target.scale)
    predicted = trainer.reconstruct(raw["layer_1.mlp_in"]) * trainer.units.target.scale
    assert losses.statistics.squared_error == pytest.approx(float((predicted - target).square().sum()), rel=1e-4)


def test_a_transcoder_with_layer_norm_keeps_one_scale_for_what_it_cannot_know() -> None:
    spec, settings = small("transcoder", normalize_activations="layer_norm")
    units = fresh(spec, settings).units
    assert (units.source.kind, units.target.kind) == ("layer_norm", "constant_norm")


@pytest.mark.parametrize("architecture", ["transcoder", "skip_transcoder"])
def test_a_transcoder_of_unrelated_things_learns_no_more_than_their_mean(architecture: str) -> None:
    _, rows = train_small(architecture)
    assert rows[-1]["recon_loss"] > 0.3
    assert rows[-1]["fvu"] > 0.9


@pytest.mark.parametrize("normalization", ["constant_norm", "layer_norm", "none"])
@pytest.mark.parametrize("architecture", ["standard", "topk"])
def test_each_normalisation_learns(architecture: str, normalization: str) -> None:
    _, rows = train_small(architecture, normalize_activations=normalization, num_steps=60)
    assert rows[-1]["fvu"] < 0.7 * rows[0]["fvu"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_products_in_bfloat16_learn_the_same_but_for_noise(architecture: str) -> None:
    spec, settings = small(architecture)
    exact, mixed = fresh(spec, settings), fresh(spec, settings, torch.bfloat16)
    assert mixed.sae.compute_dtype == torch.bfloat16
    rows, mixed_rows = take_steps(exact, spec, settings), take_steps(mixed, spec, settings)
    assert rows != mixed_rows
    assert mixed_rows[-1]["fvu"] == pytest.approx(rows[-1]["fvu"], rel=0.1)
    assert all(parameter.dtype == torch.float32 for parameter in mixed.sae.parameters())


def test_what_skip_copies_is_no_achievement() -> None:
    spec, settings = small("skip", skip_coeff=0.5)
    trainer = fresh(spec, settings)
    with torch.no_grad():
        trainer.sae.b_enc.fill_(-1e3)
    sums = IntervalSums(trainer.latents, trainer.sae.d_out)
    sums.add(*trainer.measure(next(batches(spec))))
    figures = sums.read()
    assert figures["l0"] == 0
    assert figures["fvu"] >= 1.0 - 1e-6
    row = take_steps(trainer, spec, settings)[0]
    assert row["fvu"] >= 0.95
    # What is shown as the error is that of decode(z), although the loss saw a quarter of it.
    assert row["recon_loss"] > 0.5
    assert row["loss"] == pytest.approx(row["recon_loss"] / 4, rel=0.05)


def test_the_penalty_rises_to_its_own_weight() -> None:
    for architecture, name, weight in (("standard", "l1_alpha", 0.02), ("jumprelu", "l0_alpha", 3e-3)):
        spec, settings = small(architecture, sparsity_warmup_steps=10)
        assert spec.hyperparameters[name] == weight
        coefficients = [row["sparsity_coefficient"] for row in take_steps(fresh(spec, settings), spec, settings)]
        assert coefficients == pytest.approx([0.4 * weight, 0.9 * weight, weight, weight])
    assert "sparsity_coefficient" not in train_small("topk")[1][0]


def test_a_gradient_that_is_not_finite_is_found_although_the_loss_was() -> None:
    spec, settings = small("standard")
    trainer = fresh(spec, settings)
    stream = batches(spec)
    trainer.step(next(stream), 0)
    assert trainer.first_non_finite_step() is None
    handle = trainer.sae.b_dec.register_hook(_spoil)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    trainer.step(next(stream), 1)
    handle.remove()
    assert trainer.first_non_finite_step() == 2


def test_a_metric_that_an_architecture_has_not_is_absent() -> None:
    columns = {mode: set(train_small(architecture, **more)[1][0]) for mode, (architecture, more) in MODES.items()}
    with_penalty = {"sparsity_loss", "sparsity_coefficient", "l1"}
    for mode, found in columns.items():
        by_k = mode.startswith(("topk", "batch_topk", "matryoshka")) or mode in ("transcoder", "skip_transcoder")
        assert (with_penalty & found) == (set() if by_k else with_penalty), mode
        assert {"loss", "recon_loss", "l0", "l0_fraction", "fvu", "r2", "dead", "dead_fraction", "grad_norm"} <= found
        assert ("aux_loss" in found) == (by_k or mode.startswith(("gated", "jumprelu"))), mode


def test_a_name_says_which_seed_is_drawn_from() -> None:
    spec, settings = small("topk")
    other, _ = parse_spec({**_raw(), "layers": [2]})
    assert resolve(other, 16) is not None
    first, again, elsewhere = fresh(spec, settings), fresh(spec, settings), fresh(other, settings)
    assert torch.equal(first.sae.W_dec, again.sae.W_dec)
    assert not torch.equal(first.sae.W_dec, elsewhere.sae.W_dec)


def _spoil(gradient: Tensor) -> Tensor:
    return gradient * float("nan")


def _raw() -> dict[str, Any]:
    return {"model": "planted", "dataset": {"source": "planted"}, "architecture": "topk", "hyperparameters": {"k": 4}}


@pytest.mark.parametrize("normalize", ["constant_norm", "layer_norm", "none"])
def test_activations_that_are_not_finite_are_refused_before_the_first_step(normalize: str) -> None:
    spec, settings = small("topk", normalize_activations=normalize)

    def sample() -> Iterator[dict[str, Tensor]]:
        for block in batches(spec):
            yield {name: rows.clone().fill_(torch.nan) for name, rows in block.items()}

    with pytest.raises(TrainingError, match=r"activations at layer_1\.resid_post are not finite"):
        SiteTrainer.fresh(pairs_of(spec), spec, settings, sample(), torch.device("cpu"))


def test_activations_that_are_all_zero_are_refused_before_the_first_step() -> None:
    spec, settings = small("topk")

    def sample() -> Iterator[dict[str, Tensor]]:
        for block in batches(spec):
            yield {name: torch.zeros_like(rows) for name, rows in block.items()}

    with pytest.raises(InvalidInput, match="cannot be scaled"):
        SiteTrainer.fresh(pairs_of(spec), spec, settings, sample(), torch.device("cpu"))


def test_dead_latents_are_resampled_from_inputs_of_more_than_one_batch() -> None:
    """Each batch lies in a plane of its own: a latent's new row says which batch it was drawn from."""
    spec, settings = small("standard", l1_alpha=50.0, resample_steps=5, dead_neuron_window=BATCH, num_steps=5)
    trainer = fresh(spec, settings)
    with torch.no_grad():
        trainer.sae.W_enc.zero_()
        trainer.sae.b_enc.fill_(-1.0)
    for step in range(5):
        rows = torch.zeros(BATCH, D)
        rows[:, 2 * step : 2 * step + 2] = 3.0 * torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(step))
        trainer.step({"layer_1.resid_post": rows}, step)
    planes = trainer.sae.W_dec.detach()[:, :10].reshape(LATENTS, 5, 2).norm(dim=2)
    assert trainer.dead == 0
    assert set(planes.argmax(1).tolist()) == {0, 1, 2, 3, 4}
