from __future__ import annotations

from typing import Any

import pytest

from saetui.jobs.problems import SpecError
from saetui.jobs.settings import Settings, resolve
from saetui.jobs.spec import parse_spec


def settle(architecture: str = "topk", tokens: int | None = None, **hyperparameters: Any) -> Settings | None:
    raw = {
        "model": "m",
        "dataset": {"source": "d"},
        "architecture": architecture,
        "hyperparameters": hyperparameters,
    }
    return resolve(parse_spec(raw)[0], 128, tokens)


def known(settings: Settings | None) -> Settings:
    assert settings is not None
    return settings


def test_defaults_are_those_of_the_table() -> None:
    settings = known(settle())
    assert (settings.latents, settings.batch_size, settings.num_steps) == (1024, 4096, 100_000)
    assert (settings.k, settings.aux_k, settings.aux_k_alpha) == (32, 64, 1 / 32)
    assert (settings.warmup_steps, settings.decay_steps) == (1000, 20_000)
    assert settings.dead_neuron_window == 10_000_000
    assert settings.micro_batch_size == 4096
    assert settings.l1_alpha is None


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
    assert (settings.l1_alpha, settings.sparsity_warmup_steps, settings.k) == (1e-3, 50, None)


def test_a_falling_schedule_has_no_decay_of_its_own() -> None:
    assert known(settle(lr_schedule="cosine")).decay_steps == 0


def test_more_active_latents_than_there_are_is_an_error() -> None:
    with pytest.raises(SpecError, match="64 is more than the 10 latents"):
        settle(latent_dim=10, k=64)


def test_clipping_can_be_switched_off() -> None:
    assert known(settle()).grad_clip_norm == 1.0
    assert known(settle(grad_clip_norm=None)).grad_clip_norm is None
