from __future__ import annotations

from typing import Any

import pytest

from saetui.spec.hyperparameters import HYPERPARAMETERS
from saetui.spec.problems import SpecError
from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import parse_spec


def settle(architecture: str = "topk", tokens: int | None = None, **hyperparameters: Any) -> Settings | None:
    raw = {"model": "m", "dataset": {"source": "d"}, "architecture": architecture, "hyperparameters": hyperparameters}
    return resolve(parse_spec(raw)[0], 128, tokens)


def known(settings: Settings | None) -> Settings:
    assert settings is not None
    return settings


def test_defaults_are_those_of_the_table() -> None:
    settings = known(settle())
    assert (settings.latents, settings.batch_size, settings.num_steps) == (1024, 4096, 100_000)
    assert (settings.k, settings.values["aux_k"], settings.values["aux_k_alpha"]) == (32, 64, 1 / 32)
    assert (settings.warmup_steps, settings.decay_steps) == (1000, 20_000)
    assert settings.dead_neuron_window == 10_000_000
    assert settings.micro_batch_size == 4096
    assert settings.l1_alpha is None


@pytest.mark.parametrize("schedule", HYPERPARAMETERS["lr_schedule"].choices)
def test_every_schedule_needs_no_more_than_its_name(schedule: str) -> None:
    assert known(settle(lr_schedule=schedule)).warmup_steps == (0 if schedule == "one_cycle" else 1000)


def test_a_short_run_judges_dead_latents_over_a_tenth_of_it() -> None:
    assert known(settle(num_steps=100, batch_size=1000)).dead_neuron_window == 10_000


def test_lengths_in_tokens_and_passes_become_steps() -> None:
    assert known(settle(num_tokens=1_000_001, batch_size=1000)).num_steps == 1001
    assert settle(num_epochs=2, batch_size=1000) is None
    assert known(settle(num_epochs=2, batch_size=1000, tokens=5000)).num_steps == 10


def test_widths_and_k_have_two_words_each() -> None:
    settings = known(settle(latent_dim=500, top_k_sparsity=2))
    assert (settings.latents, settings.k) == (500, 10)


def test_standard_has_a_penalty_with_warm_up_and_no_k() -> None:
    settings = known(settle("standard", num_steps=1000))
    assert (settings.l1_alpha, settings.sparsity_warmup_steps, settings.k) == (0.0062, 50, None)


def test_a_falling_schedule_has_no_decay_of_its_own() -> None:
    assert known(settle(lr_schedule="cosine")).decay_steps == 0


def test_more_active_latents_than_there_are_is_an_error() -> None:
    with pytest.raises(SpecError, match="64 is more than the 10 latents"):
        settle(latent_dim=10, k=64)


def test_clipping_can_be_switched_off() -> None:
    assert known(settle()).grad_clip_norm == 1.0
    assert known(settle(grad_clip_norm=None)).grad_clip_norm is None


def test_a_transcoder_is_sparse_by_k_unless_a_penalty_is_set() -> None:
    by_k = known(settle("transcoder"))
    assert (by_k.k, by_k.values["aux_k"], by_k.l1_alpha, by_k.target_l0) == (32, 64, None, 32)
    by_l1 = known(settle("transcoder", l1_alpha=0.01, num_steps=1000))
    assert (by_l1.k, by_l1.values.get("aux_k"), by_l1.sparsity_coefficient, by_l1.sparsity_warmup_steps) == (
        None,
        None,
        0.01,
        50,
    )
    assert by_l1.target_l0 is None


def test_jumprelu_has_a_target_only_where_it_steers_to_one() -> None:
    assert known(settle("jumprelu")).target_l0 is None
    assert known(settle("jumprelu", sparsity_mode="quadratic")).target_l0 == 50
    assert known(settle("jumprelu", l0_alpha=1e-3)).sparsity_coefficient == 1e-3
    with pytest.raises(SpecError, match="300 is more than the 100 latents"):
        settle("jumprelu", sparsity_mode="quadratic", l0_target=300, latent_dim=100)


def test_widths_must_end_with_all_latents() -> None:
    assert known(settle("matryoshka", latent_dim=64, matryoshka_widths="16,64")).matryoshka_widths == (16, 64)
    assert known(settle("matryoshka")).matryoshka_widths is None
    with pytest.raises(SpecError, match="ends with 32, but the SAE has 64 latents") as caught:
        settle("matryoshka", latent_dim=64, matryoshka_widths="8,32")
    assert caught.value.problems[0].suggestion == "Write 8,32,64."


@pytest.mark.parametrize(("latents", "rate"), [(1024, 8e-4), (16_384, 2e-4), (65_536, 1e-4)])
def test_a_wider_sae_learns_more_slowly_unless_told(latents: int, rate: float) -> None:
    assert known(settle(latent_dim=latents, num_steps=250_000)).learning_rate == rate
    assert known(settle(latent_dim=latents, num_steps=250_000, learning_rate=5e-4)).learning_rate == 5e-4


@pytest.mark.parametrize(
    ("steps", "rate"), [(300, 4e-3), (10_000, 1e-3), (50_000, 4.5e-4), (250_000, 2e-4), (1_000_000, 2e-4)]
)
def test_a_shorter_run_learns_faster_unless_told(steps: int, rate: float) -> None:
    assert known(settle(latent_dim=16_384, num_steps=steps)).learning_rate == rate
    assert known(settle(latent_dim=16_384, num_tokens=steps * 4096)).learning_rate == rate
    assert known(settle(latent_dim=16_384, num_steps=steps, learning_rate=5e-4)).learning_rate == 5e-4


def test_jumprelu_is_held_back_further_in_short_runs() -> None:
    assert known(settle("jumprelu", num_steps=300)).learning_rate == 2.5e-3
    assert known(settle("jumprelu", num_steps=250_000)).learning_rate == 8e-4


def test_the_l1_penalty_follows_the_width_of_the_activations_unless_told() -> None:
    assert known(settle("gated")).l1_alpha == 0.012
    assert known(settle("skip")).l1_alpha == 0.0062
    assert known(settle("standard", l1_alpha=0.002)).l1_alpha == 0.002
    assert known(settle("transcoder")).l1_alpha is None
