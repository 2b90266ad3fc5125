"""Sinks, tokens of enormous norm, are neither trained on nor judged, and everything else is as if they had not been there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from saetui.sae import DeadSet, IntervalSums
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.settings import Settings
from saetui.spec.training_spec import TrainingSpec, parse_spec
from saetui.training.checkpoint import SiteState
from saetui.training.pairs import measure_units, pairs_of
from saetui.training.sinks import fill_places, ordinary_rows
from saetui.training.site import SiteTrainer
from tests.training.test_site import MODES as SITE_MODES
from tests.training.trainers import BATCH, D, batches, fresh, small, take_steps

CPU = torch.device("cpu")
LIMIT = 6.0
MODES: dict[str, tuple[str, dict[str, Any]]] = {
    **SITE_MODES,
    "layer_norm": ("topk", {"normalize_activations": "layer_norm"}),
    "none": ("standard", {"normalize_activations": "none"}),
    "ghost gradients": ("standard", {"ghost_grad_penalty": True, "dead_neuron_window": 128}),
}
Rows = Mapping[str, Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def with_sinks(stream: Iterator[dict[str, Tensor]], share: float = 0.06) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Batches of which some rows are a sink at one of the sites, and which rows those are."""
    generator = torch.Generator().manual_seed(9)
    for batch in stream:
        size = len(next(iter(batch.values())))
        sinks = torch.rand(size, generator=generator) < share
        where = torch.randint(len(batch), (size,), generator=generator)
        spoiled = {}
        for number, (site, rows) in enumerate(batch.items()):
            vector = torch.linspace(-1, 1, rows.shape[1])
            length = 60.0 * rows.norm(dim=1).median() / vector.norm()
            here = sinks & (where == number)
            spoiled[site] = torch.where(here[:, None], rows * 0.1 + length * vector, rows)
        yield spoiled, sinks


def filled(batch: Rows, sinks: Tensor) -> dict[str, Tensor]:
    """What is learned from in its stead: its ordinary rows, and again from the first, as many as there were."""
    places = [place for place, sink in enumerate(sinks.tolist()) if not sink]
    chosen = (places * len(sinks))[: len(sinks)]
    return {site: rows[chosen] for site, rows in batch.items()}


def unlimited(trainer: SiteTrainer, spec: TrainingSpec, settings: Settings) -> SiteTrainer:
    """The same trainer, to which every token is an ordinary one: its units are described as before there were limits."""
    state = trainer.state()
    tensors = {name: tensor.clone() for name, tensor in state.tensors.items() if not name.startswith("sinks.")}
    units = {
        side: {name: value for name, value in described.items() if name != "norm_limit"}
        for side, described in state.values["units"].items()
    }
    without = SiteState(tensors, {**state.values, "units": units})
    return SiteTrainer.restored(trainer.pair.source, spec, settings, without, CPU)


def off(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, max_activation_norm=None)


def weights(trainer: SiteTrainer) -> dict[str, list[Any]]:
    return {name: tensor.tolist() for name, tensor in trainer.sae.state_dict().items()}


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_with_sinks_teaches_what_its_ordinary_rows_teach(mode: str) -> None:
    """Loss, gradient, L0, the batch's selection and its threshold, dead latents, resampling, FVU: all of it to the bit."""
    architecture, hyperparameters = MODES[mode]
    spec, settings = small(architecture, **hyperparameters, max_activation_norm=LIMIT)
    trainer = fresh(spec, settings)
    reference = unlimited(trainer, spec, settings)
    left_out = 0
    for step, (batch, sinks) in zip(range(12), with_sinks(batches(spec))):
        trainer.step(batch, step)
        reference.step(filled(batch, sinks), step)
        left_out += int(sinks.sum())
    assert left_out > 40
    assert weights(trainer) == weights(reference)
    row, other = trainer.interval_metrics(12), reference.interval_metrics(12)
    assert row.pop("sink_fraction") == pytest.approx(left_out / (12 * BATCH))
    assert "sink_fraction" not in other
    assert row == other
    assert trainer.sink_fraction == pytest.approx(left_out / (12 * BATCH))
    assert trainer.dead == reference.dead


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_sinks_a_limit_changes_nothing(architecture: str) -> None:
    spec, settings = small(architecture, max_activation_norm=LIMIT)
    limited, free = fresh(spec, settings), fresh(spec, off(settings))
    assert free.units.source.norm_limit is None
    rows, other_rows = take_steps(limited, spec, settings), take_steps(free, spec, settings)
    assert weights(limited) == weights(free)
    assert [row.pop("sink_fraction") for row in rows] == [0.0] * len(rows)
    assert rows == other_rows


def test_what_an_accelerator_makes_of_rows_without_sinks_is_the_rows_themselves() -> None:
    """There nobody looks whether there are any."""
    rows = {"site": torch.randn(50, D, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)}
    assert torch.equal(
        fill_places(rows, torch.zeros(50, dtype=torch.bool), {"site": rows["site"][:1]})["site"], rows["site"]
    )


@pytest.mark.parametrize("mode", MODES)
def test_pieces_of_a_batch_with_sinks_change_nothing_but_rounding(mode: str) -> None:
    architecture, hyperparameters = MODES[mode]
    trained = []
    for micro_batch in (None, 50):
        spec, settings = small(architecture, **hyperparameters, max_activation_norm=LIMIT, micro_batch_size=micro_batch)
        trainer = fresh(spec, settings)
        for step, (batch, _) in zip(range(6), with_sinks(batches(spec))):
            trainer.step(batch, step)
        trained.append(trainer)
    whole, pieces = trained
    for name, tensor in whole.sae.state_dict().items():
        torch.testing.assert_close(pieces.sae.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
    assert pieces.interval_metrics(6) == pytest.approx(whole.interval_metrics(6), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("architecture", ["batch_topk", "transcoder"])
def test_a_restored_trainer_leaves_out_the_same_and_counts_on(architecture: str) -> None:
    spec, settings = small(architecture, max_activation_norm=LIMIT, log_interval=100)
    through = fresh(spec, settings)
    stream = [batch for batch, _ in zip((batch for batch, _ in with_sinks(batches(spec))), range(9))]
    # The last batch is nothing but sinks: what stands in for them is remembered too.
    stream[7] = {site: rows * 100 for site, rows in stream[7].items()}
    for step in range(7):
        through.step(stream[step], step)
    state = through.state()
    saved = SiteState({name: tensor.clone() for name, tensor in state.tensors.items()}, state.values)
    restored = SiteTrainer.restored(through.pair.source, spec, settings, saved, CPU)
    for step in (7, 8):
        through.step(stream[step], step)
        restored.step(stream[step], step)
    assert weights(restored) == weights(through)
    assert restored.sink_fraction == through.sink_fraction
    assert restored.interval_metrics(9) == through.interval_metrics(9)


def test_a_batch_of_nothing_but_sinks_teaches_the_last_ordinary_row_again() -> None:
    spec, settings = small("topk", max_activation_norm=LIMIT)
    trainer = fresh(spec, settings)
    reference = unlimited(trainer, spec, settings)
    (site,) = (pair.name for pair in pairs_of(spec))
    ordinary = next(batches(spec))
    trainer.step(ordinary, 0)
    reference.step(ordinary, 0)
    trainer.step({site: ordinary[site] * 1000}, 1)
    reference.step({site: ordinary[site][:1].expand(BATCH, D)}, 1)
    assert weights(trainer) == weights(reference)
    assert trainer.interval_metrics(2)["sink_fraction"] == 0.5


def test_the_very_first_batch_may_be_of_sinks_alone() -> None:
    spec, settings = small("topk", max_activation_norm=LIMIT)
    trainer = fresh(spec, settings)
    (site,) = (pair.name for pair in pairs_of(spec))
    trainer.step({site: next(batches(spec))[site] * 1000}, 0)
    row = trainer.interval_metrics(1)
    assert row["sink_fraction"] == 1.0 and math.isfinite(row["loss"]) and row["loss"] < 10


def test_sites_that_are_trained_together_equal_sites_that_are_trained_alone() -> None:
    """What is a sink at one site is an ordinary token at another, whose rows stay where they are."""
    _, settings = small("batch_topk", max_activation_norm=LIMIT)
    raw = {
        "model": "planted",
        "dataset": {"source": "planted"},
        "architecture": "batch_topk",
        "hyperparameters": {"k": 4},
    }
    specs = [parse_spec({**raw, "layers": layers})[0] for layers in ([1, 2], [1], [2])]
    stream = [batch for (batch, _), _ in zip(with_sinks(batches(specs[0])), range(30))]

    def trained(spec: TrainingSpec) -> dict[str, SiteTrainer]:
        trainers = SiteTrainer.fresh(pairs_of(spec), spec, settings, cycle(stream), CPU)
        for step in range(6):
            for trainer in trainers.values():
                trainer.step(stream[step], step)
        return trainers

    together, *alone = (trained(spec) for spec in specs)
    for single in alone:
        ((site, trainer),) = single.items()
        assert weights(trainer) == weights(together[site])
        assert 0 < (trainer.sink_fraction or 0) < 0.06
        assert trainer.sink_fraction == together[site].sink_fraction


@pytest.mark.parametrize("side", ["layer_1.mlp_in", "layer_1.mlp_out"])
def test_a_transcoders_row_is_a_sink_where_it_reads_or_where_it_predicts(side: str) -> None:
    spec, settings = small("transcoder", max_activation_norm=LIMIT)
    trainer = fresh(spec, settings)
    batch = next(batches(spec))
    batch[side][5] *= 100
    trainer.step(batch, 0)
    assert trainer.interval_metrics(1)["sink_fraction"] == pytest.approx(1 / BATCH)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["constant_norm", "layer_norm", "none"])
def test_the_limit_is_a_multiple_of_the_median_norm_and_the_scale_is_that_of_ordinary_tokens(
    kind: Any, dtype: torch.dtype
) -> None:
    spec, _ = small("topk")
    (pair,) = pairs_of(spec)
    read: list[tuple[Tensor, Tensor]] = []

    def sample() -> Iterator[Rows]:
        for batch, sinks in with_sinks(batches(spec)):
            rows = batch[pair.name].to(dtype)
            read.append((rows, sinks))
            yield {pair.name: rows}

    units, first = measure_units([pair], kind, sample(), LIMIT)
    normalization = units[pair.name].source
    rows, sinks = (torch.cat(parts) for parts in zip(*read))
    assert normalization.norm_limit == pytest.approx(LIMIT * float(rows.double().norm(dim=1).median()), rel=0.01)
    assert torch.equal(normalization.sinks(rows), sinks)
    if kind == "constant_norm":
        ordinary = rows[~sinks].double()
        assert normalization.scale == pytest.approx(float((D / ordinary.square().sum(1).mean()).sqrt()), rel=1e-5)
        spoiled = float((D / rows.double().square().sum(1).mean()).sqrt())
        assert normalization.scale > 10 * spoiled
    kept = ordinary_rows(pair, units[pair.name], first)[pair.name]
    assert torch.equal(kept, read[0][0][~read[0][1]])


def test_b_dec_starts_at_the_mean_of_ordinary_tokens() -> None:
    spec, settings = small("topk", max_activation_norm=LIMIT)
    first, sinks = next(with_sinks(batches(spec)))
    stream = (batch for batch, _ in with_sinks(batches(spec)))
    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, settings, stream, CPU).values()
    assert int(sinks.sum()) > 0
    mean = first[trainer.pair.name][~sinks].mean(0) * trainer.units.source.scale
    torch.testing.assert_close(trainer.sae.b_dec.detach(), mean, rtol=1e-4, atol=1e-5)


def test_resampled_latents_are_drawn_from_ordinary_tokens() -> None:
    spec, settings = small("standard", max_activation_norm=LIMIT, resample_steps=1, dead_neuron_window=128)
    trainer = fresh(spec, settings)
    trainer._dead.tokens_since_fired += 10**6
    trainer._dead._current = DeadSet(torch.arange(64), 64)
    with torch.no_grad():
        trainer.sae.b_enc.fill_(-1e3)
    batch, sinks = next(with_sinks(batches(spec)))
    trainer.step(batch, 0)
    ordinary = batch[trainer.pair.name][~sinks] * trainer.units.source.scale - trainer.sae.b_dec.detach()
    cosines = torch.nn.functional.normalize(ordinary, dim=1) @ trainer.sae.W_dec.detach().t()
    # Each latent is one of the tokens, and none a sink, whose squared error of errors outweighs all others'.
    torch.testing.assert_close(cosines.max(0).values, torch.ones(64), rtol=0, atol=1e-3)


def test_what_is_not_finite_is_no_sink_but_a_fault_that_is_found() -> None:
    spec, settings = small("topk", max_activation_norm=LIMIT)
    trainer = fresh(spec, settings)
    batch = next(batches(spec))
    batch[trainer.pair.name][3, 0] = math.inf
    trainer.step(batch, 0)
    assert trainer.first_non_finite_step() == 1


def test_where_most_tokens_are_zero_there_is_no_median_and_no_limit() -> None:
    spec, _ = small("topk")
    (pair,) = pairs_of(spec)
    stream = ({pair.name: torch.where(torch.arange(BATCH)[:, None] % 4 == 0, rows, 0.0)}
              for batch in batches(spec) for rows in batch.values())  # fmt: skip
    units, _ = measure_units([pair], "constant_norm", stream, LIMIT)
    assert units[pair.name].source.norm_limit is None
    assert units[pair.name].source.scale > 0


@pytest.mark.parametrize("normalization", ["constant_norm", "layer_norm", "none"])
@pytest.mark.parametrize("architecture", ["standard", "batch_topk", "gated", "jumprelu", "skip", "transcoder"])
def test_fvu_is_that_of_raw_activations(architecture: str, normalization: str) -> None:
    """Tokens of very different lengths: in layer_norm's own units each would count the same."""
    spec, settings = small(architecture, normalize_activations=normalization)

    def uneven() -> Iterator[dict[str, Tensor]]:
        for batch in batches(spec):
            yield {site: rows * torch.linspace(0.2, 3.0, len(rows))[:, None] + 1.0 for site, rows in batch.items()}

    (trainer,) = SiteTrainer.fresh(pairs_of(spec), spec, off(settings), uneven(), CPU).values()
    for step, batch in zip(range(10), uneven()):
        trainer.step(batch, step)
    trainer.interval_metrics(10)
    batch = next(uneven())
    sums = IntervalSums(trainer.latents, trainer.sae.d_out)
    sums.add(*trainer.measure(batch))
    target = trainer.pair.target_of(batch).double()
    error = trainer.reconstruct(trainer.pair.input_of(batch)).double() - target
    expected = float(error.square().sum() / (target - target.mean(0)).square().sum())
    assert sums.read()["fvu"] == pytest.approx(expected, rel=1e-3)
    if architecture != "batch_topk":  # which selects over the batch while it trains
        trainer.step(batch, 10)
        assert trainer.interval_metrics(11)["fvu"] == pytest.approx(expected, rel=1e-3)


def test_the_units_of_before_describe_no_limit_and_those_of_now_come_back() -> None:
    spec, settings = small("transcoder", max_activation_norm=LIMIT)
    units = fresh(spec, settings).units
    assert type(units).of(units.description) == units
    assert "norm_limit" in units.description["source"]
    old = dataclasses.replace(units.source, norm_limit=None)
    assert set(old.description) == {"kind", "scale"}
