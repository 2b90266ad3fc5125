"""A job's complete spec, reduced to what somebody chose in it."""

from __future__ import annotations

from typing import Any

import pytest

from saetui.jobs.templates import DEMO_SPEC
from saetui.spec.architectures import ARCHITECTURES
from saetui.spec.chosen import chosen_values, width_of
from saetui.spec.training_spec import spec_json
from saetui.spec.validation import complete_spec

_SMALL: dict[str, Any] = {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_of_a_complete_spec_only_what_was_chosen_is_left(architecture: str) -> None:
    asked = {**_SMALL, "layers": [1], "architecture": architecture, "hyperparameters": {"batch_size": 1000}}
    complete = complete_spec(asked).spec
    assert len(complete.hyperparameters) > 10
    found = chosen_values(spec_json(complete), width_of(asked))
    assert found["hyperparameters"] == {"batch_size": 1000}
    assert found["dataset"] == asked["dataset"]
    assert {"device", "dtype", "seed", "revision", "start_from"}.isdisjoint(found)


def test_what_was_chosen_makes_the_same_job_again() -> None:
    complete = complete_spec(DEMO_SPEC).spec
    again = complete_spec(chosen_values(spec_json(complete), width_of(DEMO_SPEC))).spec
    assert again == complete


def test_what_follows_goes_on_following_where_the_copy_is_changed() -> None:
    complete = spec_json(complete_spec({**_SMALL, "hyperparameters": {"num_steps": 2000}}).spec)
    copy = chosen_values(complete, width_of(complete))
    copy["hyperparameters"]["num_steps"] = 5000
    assert complete["hyperparameters"]["warmup_steps"] == 20
    assert complete_spec(copy).spec.hyperparameters["warmup_steps"] == 50


def test_a_value_that_was_switched_off_stays_off() -> None:
    complete = spec_json(complete_spec({**_SMALL, "hyperparameters": {"grad_clip_norm": None}}).spec)
    assert chosen_values(complete, 128)["hyperparameters"] == {"grad_clip_norm": None}


def test_a_chosen_value_that_is_not_what_would_follow_is_kept() -> None:
    complete = spec_json(complete_spec({**_SMALL, "hyperparameters": {"warmup_steps": 7, "aux_k": 64}}).spec)
    assert chosen_values(complete, 128)["hyperparameters"] == {"warmup_steps": 7}


def test_without_the_width_of_the_model_only_defaults_are_left_out() -> None:
    raw = {"model": "org/gone", "hyperparameters": {"k": 32, "warmup_steps": 20}}
    assert width_of(raw) is None
    assert chosen_values(raw, None)["hyperparameters"] == {"warmup_steps": 20}


def test_wrong_values_are_kept_for_the_check_to_report() -> None:
    raw = {**_SMALL, "hyperparameters": {"k": "many", "colour": 3, "warmup_steps": -1}}
    assert chosen_values(raw, 128)["hyperparameters"] == raw["hyperparameters"]
