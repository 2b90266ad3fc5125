"""What stands in the form, without the form."""

from __future__ import annotations

from saetui.jobs.templates import DEMO_SPEC
from saetui.spec.hyperparameters import HYPERPARAMETERS, for_architecture
from saetui.spec.problems import errors_of
from saetui.spec.training_spec import SPEC_FIELDS, check_fields
from saetui.tui.draft import Draft
from saetui.tui.fields import ARCHITECTURE_FIELD, MODEL_FIELDS, PREFIX, hyperparameter_field


def test_an_untouched_form_is_a_sound_spec() -> None:
    draft = Draft()
    assert draft.problems() == []
    assert draft.raw()["hyperparameters"] == {}


def test_every_hyperparameter_can_be_typed_and_loaded_again() -> None:
    for architecture in ARCHITECTURE_FIELD.choices:
        for row in for_architecture(architecture):
            draft = Draft()
            draft.set_text("architecture", architecture)
            value = row.choices[-1] if row.choices else "true" if not row.default else "false"
            typed = value if row.choices or isinstance(row.default, bool) else "7" if row.limits[1] >= 7 else "0.5"
            draft.set_text(PREFIX + row.name, typed)
            raw = draft.raw()
            assert row.name in raw["hyperparameters"], row.name
            again = Draft.of(raw)
            kept = again.raw()["hyperparameters"]
            assert kept == {
                key: value for key, value in raw["hyperparameters"].items() if value != row.default_for(architecture)
            }


def test_a_spec_goes_through_the_form_unchanged() -> None:
    raw = Draft.of(DEMO_SPEC).raw()
    defaults = {"expansion_factor": 8, "k": 32}
    assert raw["hyperparameters"] | defaults == DEMO_SPEC["hyperparameters"]
    assert raw["layers"] == [2]
    assert raw["model"] == "bundled:tiny"


def test_setting_one_of_the_linked_empties_its_siblings() -> None:
    draft = Draft()
    draft.set_text(PREFIX + "num_tokens", "10M")
    assert draft.set_text(PREFIX + "num_epochs", "2") == (PREFIX + "num_tokens",)
    assert draft.raw()["hyperparameters"] == {"num_epochs": 2.0}
    draft.set_text(PREFIX + "num_epochs", "")
    assert draft.raw()["hyperparameters"] == {}


def test_what_cannot_be_read_is_said_and_left_out() -> None:
    draft = Draft()
    draft.set_text(PREFIX + "k", "few")
    draft.set_text("dataset.context_length", "long")
    draft.set_text("seed", "x")
    assert {problem.field for problem in draft.problems()} == {PREFIX + "k", "dataset.context_length", "seed"}
    assert errors_of(check_fields(draft.raw())) == []


def test_no_layer_at_all_is_an_error_and_not_the_middle_one() -> None:
    draft = Draft()
    draft.layers = ()
    assert [problem.field for problem in draft.problems()] == ["layers"]


def test_numbers_that_follow_from_others_go_on_following() -> None:
    complete = {"hyperparameters": {"num_steps": 2000, "warmup_steps": 20, "aux_k": 64, "dead_neuron_window": 5}}
    draft = Draft.of(complete, d_in=128)
    assert draft.raw()["hyperparameters"] == {"num_steps": 2000, "dead_neuron_window": 5}


def test_loading_a_template_keeps_model_and_dataset_that_it_does_not_name() -> None:
    draft = Draft()
    draft.set_text("model", "org/other")
    draft.set_text("seed", "4")
    draft.load({"hyperparameters": {"k": 8}})
    assert draft.raw()["model"] == "org/other"
    assert "seed" not in draft.raw()


def test_what_the_training_goes_on_from_comes_back_out() -> None:
    assert Draft.of({"start_from": "gpt2-l4"}).raw()["start_from"] == "gpt2-l4"


def test_every_field_of_a_spec_is_in_the_form() -> None:
    shown = {field.field.partition(".")[0] for field in MODEL_FIELDS}
    assert shown | {"architecture", "layers", "hook_points", "hyperparameters"} == set(SPEC_FIELDS)


def test_every_row_of_the_form_has_help_and_a_label() -> None:
    rows = [*MODEL_FIELDS, ARCHITECTURE_FIELD]
    rows += [hyperparameter_field(row, row.architectures[0]) for row in HYPERPARAMETERS.values()]
    for row in rows:
        assert row.help.endswith("."), row.field
        assert len(row.label) <= 21, f"{row.label} does not fit its column"


def test_what_a_job_had_switched_off_is_off_in_its_copy() -> None:
    draft = Draft.of({"hyperparameters": {"grad_clip_norm": None, "max_activation_norm": None}}, d_in=128)
    assert draft.text(PREFIX + "grad_clip_norm") == "off"
    assert draft.raw()["hyperparameters"] == {"grad_clip_norm": None, "max_activation_norm": None}
