from __future__ import annotations

from typing import Any

import pytest

from saetui.spec.settings import Settings, resolve
from saetui.spec.training_spec import parse_spec
from saetui.training.warnings import Advice, Concern, Watch

SITE = "layer_2.resid_post"
SOUND = {"loss": 0.1, "fvu": 0.1, "l0": 32.0, "dead_fraction": 0.0, "grad_norm": 1.0}


def settings(architecture: str = "topk", **hyperparameters: Any) -> Settings:
    chosen = {"num_steps": 1000, "batch_size": 100, "latent_dim": 1000, **hyperparameters}
    raw = {"model": "m", "dataset": {"source": "d"}, "architecture": architecture, "hyperparameters": chosen}
    settled = resolve(parse_spec(raw)[0], 128)
    assert settled is not None
    return settled


def said(architecture: str = "topk", *, until: int = 1000, row: Any = None, **hyperparameters: Any) -> list[Advice]:
    """Everything said of a run whose rows are SOUND but for what `row` gives, or makes of a step."""
    watch = Watch(architecture, settings(architecture, **hyperparameters))
    found = []
    for step in range(10, until + 1, 10):
        # A sound run goes on learning.
        falling = {"loss": 1.0 - step / 2000}
        found += watch.judge(step, {SITE: {**SOUND, **falling, **(row(step) if callable(row) else row or {})}})
    return found


def only(advices: list[Advice]) -> Advice:
    (advice,) = advices
    return advice


def test_a_sound_run_gets_no_warning() -> None:
    assert said() == []


def test_many_dead_latents_are_said_once_with_the_architectures_own_means() -> None:
    advice = only(said(row={"dead_fraction": 0.12}))
    assert advice.concern is Concern.DEAD
    assert advice.message == "12% of the latents are dead."
    assert "aux_k_alpha" in advice.suggestion
    assert advice.sentence == f"{SITE}: {advice.message} {advice.suggestion}"
    assert said(row={"dead_fraction": 0.10}) == []


def test_latents_are_not_called_dead_before_two_windows_have_passed() -> None:
    assert said(row={"dead_fraction": 0.9}, dead_neuron_window=50_000, until=990) == []
    assert said(row={"dead_fraction": 0.9}, dead_neuron_window=50_000, until=1000) != []


@pytest.mark.parametrize(
    ("architecture", "hyperparameters", "words"),
    [
        ("standard", {}, "Set resample_steps"),
        ("standard", {"resample_steps": 100}, "Lower l1_alpha"),
        ("gated", {}, "Set resample_steps"),
        ("jumprelu", {}, "Raise pre_activation_alpha, lower l0_alpha"),
        ("transcoder", {}, "Raise aux_k_alpha"),
        ("transcoder", {"l1_alpha": 0.01}, "Set resample_steps"),
    ],
)
def test_the_way_out_of_death_names_only_what_the_architecture_has(
    architecture: str, hyperparameters: dict[str, Any], words: str
) -> None:
    assert words in only(said(architecture, row={"dead_fraction": 0.5}, **hyperparameters)).suggestion


def test_an_l0_far_from_its_target_is_said() -> None:
    advice = only(said(row={"l0": 15.0}))
    assert advice.message == "L0 is 15.0, far from the 32 that were asked for."
    steered = only(said("jumprelu", row={"l0": 90.0}, sparsity_mode="quadratic", l0_target=50))
    assert (steered.concern, steered.suggestion[:14]) == (Concern.L0, "Raise l0_alpha")
    assert said("jumprelu", row={"l0": 60.0}, sparsity_mode="quadratic", l0_target=50) == []


def test_without_a_target_only_a_code_that_is_empty_or_not_sparse_is_said() -> None:
    assert said("standard", row={"l0": 100.0}) == []
    assert only(said("standard", row={"l0": 0.4})).suggestion == "Lower l1_alpha."
    assert only(said("standard", row={"l0": 300.0})).suggestion == "Raise l1_alpha."
    assert only(said("jumprelu", row={"l0": 300.0})).suggestion == "Raise l0_alpha."


def test_l0_and_fvu_are_left_in_peace_while_the_run_is_young() -> None:
    assert said(row={"l0": 1.0, "fvu": 2.0}, until=290) == []
    assert said("standard", row={"l0": 900.0}, until=790, sparsity_warmup_steps=400) == []


def test_an_fvu_no_better_than_the_mean_is_said_in_training_and_of_held_out_text() -> None:
    advice = only(said(row={"fvu": 1.2}))
    assert advice.message == "The FVU is 1.20: predicting the mean would do as well."
    watch = Watch("standard", settings("standard"))
    (held_out,) = watch.judge_held_out({SITE: {"fvu": 1.0}, "layer_1.resid_post": {"fvu": 0.9}})
    assert (held_out.site, held_out.concern) == (SITE, Concern.FVU)
    assert held_out.suggestion == "Lower l1_alpha or learning_rate."
    assert watch.judge_held_out({SITE: {"fvu": 1.0}}) == []


def test_one_row_out_of_line_is_no_reason() -> None:
    assert said(row=lambda step: {"l0": 90.0} if step == 500 else {}) == []


def test_a_loss_that_stands_still_is_said_with_how_long() -> None:
    advice = only(said(row={"loss": 0.3}))
    assert advice.concern is Concern.PLATEAU
    assert "has not changed for 200 steps, at 0.3" in advice.message


def test_standing_still_is_expected_while_the_rate_falls() -> None:
    assert said(row={"loss": 0.3}, lr_schedule="cosine") == []
    assert said(row=lambda step: {"loss": max(0.3, 1 - step / 1000)}, decay_fraction=0.3) == []


def test_a_number_that_is_not_finite_is_said_with_its_name_and_step() -> None:
    advice = only(said(row=lambda step: {"grad_norm": float("inf")} if step == 40 else {}, until=100))
    assert advice.concern is Concern.NON_FINITE
    assert advice.message == "grad_norm is not finite in the steps up to 40."
    assert "learning_rate" in advice.suggestion
    assert advice.data == {"concern": "non_finite", "site": SITE, "suggestion": advice.suggestion}


def test_every_site_is_judged_for_itself() -> None:
    watch = Watch("topk", settings())
    rows = {SITE: {**SOUND, "dead_fraction": 0.5}, "layer_1.resid_post": {**SOUND, "dead_fraction": 0.4}}
    assert [advice.site for advice in watch.judge(900, rows)] == list(rows)
    assert watch.judge(910, rows) == []


def test_many_tokens_that_are_left_out_are_said_of_training_and_of_held_out_text() -> None:
    advice = only(said(row={"sink_fraction": 0.08}))
    assert advice.concern is Concern.SINKS
    assert advice.message == "8% of the training tokens are longer than max_activation_norm and left out."
    assert "off" in advice.suggestion
    assert said(row={"sink_fraction": 0.05}) == []
    watch = Watch("topk", settings())
    held_out = {SITE: {"fvu": 0.2, "sink_fraction": 0.06}}
    assert only(watch.judge_held_out(held_out)).message.startswith("6% of the held-out tokens")
    assert watch.judge_held_out(held_out) == []
    assert Watch("topk", settings()).judge_held_out({SITE: {"fvu": 0.2, "sink_fraction": 0.04}}) == []
