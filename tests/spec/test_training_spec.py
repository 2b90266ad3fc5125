from __future__ import annotations

from typing import Any

import pytest

from saetui.spec.architectures import TRANSCODERS
from saetui.spec.hyperparameters import ARCHITECTURES, HYPERPARAMETERS, LINKED, for_architecture
from saetui.spec.problems import Severity, SpecError
from saetui.spec.training_spec import check_fields, parse_spec, spec_json


def spec(**changes: Any) -> dict[str, Any]:
    return {"model": "bundled:tiny", "dataset": {"source": "bundled:stdlib"}, **changes}


def fields(raw: dict[str, Any], *, partial: bool = False) -> list[str]:
    return [problem.field for problem in check_fields(raw, partial=partial) if problem.severity is Severity.ERROR]


def test_the_smallest_spec_is_sound_and_survives_a_round_trip() -> None:
    parsed, warnings = parse_spec(spec())
    assert warnings == []
    assert parsed.architecture == "topk"
    assert parse_spec(spec_json(parsed))[0] == parsed


def test_every_problem_is_named_at_once() -> None:
    raw = spec(
        modle="x",
        layers="two",
        architecture="topc",
        seed=-1,
        dataset={"source": "", "context_length": 1, "splitt": "train"},
        hyperparameters={"batch_size": 0, "learning_rat": 1e-3, "num_steps": 1.5},
    )
    assert sorted(fields(raw)) == [
        "architecture", "dataset.context_length", "dataset.source", "dataset.splitt", "hyperparameters.batch_size",
        "hyperparameters.learning_rat", "hyperparameters.num_steps", "layers", "modle", "seed",
    ]  # fmt: skip
    with pytest.raises(SpecError) as caught:
        parse_spec(raw)
    for word in ("modle", "Did you mean model?", "batch_size: 0 is below its limit of 1", "Did you mean topk?"):
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        ({}, "model", "is missing"),
        (spec(model=3), "model", "3 must be a text"),
        (spec(dataset="bundled:stdlib"), "dataset", "must be an object with a source"),
        (spec(dataset={"split": "train"}), "dataset.source", "is missing"),
        (spec(layers=[1, 1]), "layers", "names a layer twice"),
        (spec(layers=[True]), "layers", "true must be a whole number"),
        (spec(layers=[-1]), "layers", "must be from 0"),
        (spec(hook_points=[]), "hook_points", "must be a list of hook points"),
        (spec(hook_points=["resid"]), "hook_points", "must be one of"),
        (spec(hook_points=["resid_mid"]), "hook_points", "between attention and MLP, which is not offered"),
        (spec(hook_points=["attn.hook_z"]), "hook_points", "heads"),
        (spec(device="gpu"), "device", "must be auto, cpu, cuda or cuda:N"),
        (spec(dtype="float64"), "dtype", "must be one of"),
        (spec(name="../etc"), "name", "is not a name"),
        (spec(name="a\x1b[31m"), "name", "is not a name"),
        (spec(k=3), "k", "is not a known field"),
        (spec(hyperparameters=[1]), "hyperparameters", "must be an object"),
        (spec(hyperparameters={"k": "many"}), "hyperparameters.k", '"many" must be a whole number'),
        (spec(hyperparameters={"k": True}), "hyperparameters.k", "must be a whole number"),
        (spec(hyperparameters={"learning_rate": float("nan")}), "hyperparameters.learning_rate", "must be a finite"),
        (spec(hyperparameters={"batch_size": None}), "hyperparameters.batch_size", "not empty"),
        (spec(hyperparameters={"optimizer": "adamm"}), "hyperparameters.optimizer", "must be one of"),
        (spec(hyperparameters={"keep_best": 1}), "hyperparameters.keep_best", "must be true or false"),
        (spec(hyperparameters={"l1_alpha": 0.1}), "hyperparameters.l1_alpha", "is not used by topk, only by standard"),
        (spec(architecture="standard", hyperparameters={"k": 3}), "hyperparameters.k", "is not used by standard"),
        (spec(hyperparameters={"k": 3, "top_k_sparsity": 1}), "hyperparameters.top_k_sparsity", "say the same thing"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_value_and_limit(raw: dict[str, Any], field: str, words: str) -> None:
    problem = next(problem for problem in check_fields(raw) if problem.field == field)
    assert words in problem.message
    assert problem.severity is Severity.ERROR


def test_a_misplaced_hyperparameter_is_told_where_it_belongs() -> None:
    problem = next(problem for problem in check_fields(spec(k=3)) if problem.field == "k")
    assert problem.suggestion == "It is a hyperparameter: put it inside hyperparameters."


def test_in_a_template_any_field_may_be_missing_and_none_may_be_wrong() -> None:
    assert fields({}, partial=True) == []
    assert fields({"dataset": {"context_length": 64}}, partial=True) == []
    assert fields({"hyperparameters": {"k": 8, "l1_alpha": 0.1}}, partial=True) == []
    assert fields({"hyperparameters": {"k": 0}}, partial=True) == ["hyperparameters.k"]
    assert fields({"architecture": "standard", "hyperparameters": {"k": 8}}, partial=True) == ["hyperparameters.k"]


def test_outside_the_recommended_range_is_a_warning_and_accepted() -> None:
    parsed, warnings = parse_spec(spec(hyperparameters={"learning_rate": 0.5}))
    assert parsed.hyperparameters["learning_rate"] == 0.5
    assert [warning.field for warning in warnings] == ["hyperparameters.learning_rate"]
    assert "recommended range of 1e-05 to 0.005" in warnings[0].message


@pytest.mark.parametrize("row", HYPERPARAMETERS.values(), ids=lambda row: row.name)
def test_every_row_of_the_table_is_whole(row: Any) -> None:
    for architecture in row.architectures:
        assert row.check(row.default_for(architecture)) is None
        assert not row.outside_recommended(row.default_for(architecture))
    assert set(row.architectures) <= set(ARCHITECTURES)
    assert row.help.count(". ") >= 1 or row.help.count(".") >= 2, "two sentences: what it does, which way to turn it"
    assert row.help.endswith(".")
    if row.recommended:
        assert row.limits[0] <= row.recommended[0] < row.recommended[1] <= row.limits[1]
    shown = row.show(row.default)
    if shown or row.accepts_none:
        assert row.parse(shown) == row.default


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_of_linked_rows_an_architecture_has_one_default_a_group(architecture: str) -> None:
    for group in LINKED:
        used = [HYPERPARAMETERS[name] for name in group if architecture in HYPERPARAMETERS[name].architectures]
        # l1_alpha alone follows from d_in.
        alone = [row.name for row in used] in ([], ["l1_alpha"])
        assert [row.default_for(architecture) is not None for row in used].count(True) == (0 if alone else 1)


OWN_ROWS = {
    "standard": {"l1_alpha", "sparsity_warmup_steps", "tie_weights", "resample_steps", "ghost_grad_penalty"},
    "topk": {"k", "top_k_sparsity", "aux_k", "aux_k_alpha"},
    "batch_topk": {"k", "top_k_sparsity", "aux_k", "aux_k_alpha"},
    "jumprelu": {
        "l0_alpha", "sparsity_mode", "l0_target", "bandwidth", "initial_threshold", "pre_activation_alpha",
        "sparsity_warmup_steps", "resample_steps", "ghost_grad_penalty",
    },
    "gated": {"l1_alpha", "sparsity_warmup_steps", "resample_steps", "ghost_grad_penalty"},
    "matryoshka": {"k", "top_k_sparsity", "aux_k", "aux_k_alpha", "matryoshka_widths"},
    "skip": {"l1_alpha", "sparsity_warmup_steps", "tie_weights", "resample_steps", "ghost_grad_penalty", "skip_coeff"},
    "transcoder": {"k", "top_k_sparsity", "aux_k", "aux_k_alpha", "l1_alpha", "sparsity_warmup_steps", "resample_steps"},
    "skip_transcoder": {
        "k", "top_k_sparsity", "aux_k", "aux_k_alpha", "l1_alpha", "sparsity_warmup_steps", "resample_steps",
    },
}  # fmt: skip
COMMON_ROWS = {row.name for row in HYPERPARAMETERS.values() if row.architectures == ARCHITECTURES}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_architecture_sees_only_its_rows(architecture: str) -> None:
    shown = {row.name for row in for_architecture(architecture)}
    assert shown == COMMON_ROWS | OWN_ROWS[architecture]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_an_architecture_does_not_use_is_refused_by_name(architecture: str) -> None:
    foreign = {
        row.name: _any_value(row)
        for row in HYPERPARAMETERS.values()
        if row.name not in COMMON_ROWS | OWN_ROWS[architecture]
    }
    found = check_fields(spec(architecture=architecture, hyperparameters=foreign))
    assert {problem.field for problem in found} == {f"hyperparameters.{name}" for name in foreign}
    assert all(f"is not used by {architecture}, only by" in problem.message for problem in found)


def _any_value(row: Any) -> Any:
    return next(value for value in (8, 0.1, True, "1,2", *row.choices) if row.check(value) is None)


def test_two_ways_to_sparse_codes_cannot_be_asked_of_one_transcoder() -> None:
    raw = spec(architecture="transcoder", hyperparameters={"k": 8, "l1_alpha": 0.01})
    (problem,) = check_fields(raw)
    assert problem.message == "k and l1_alpha both set how sparse codes are."


@pytest.mark.parametrize(
    ("architecture", "hyperparameters", "field", "when"),
    [
        ("jumprelu", {"l0_target": 30}, "l0_target", "only with sparsity_mode quadratic"),
        ("transcoder", {"resample_steps": 100}, "resample_steps", "only when l1_alpha is set"),
        ("transcoder", {"l1_alpha": 0.01, "aux_k": 16}, "aux_k", "only while l1_alpha is not set"),
        ("topk", {"lr_schedule": "cosine", "decay_fraction": 0.1}, "decay_fraction", "only with lr_schedule constant"),
    ],
)
def test_what_matters_only_in_another_mode_is_accepted_with_a_warning(
    architecture: str, hyperparameters: dict[str, Any], field: str, when: str
) -> None:
    _, (warning,) = parse_spec(spec(architecture=architecture, hyperparameters=hyperparameters))
    assert warning.field == f"hyperparameters.{field}"
    assert warning.message == f"changes nothing here: it matters {when}."


@pytest.mark.parametrize(
    ("architecture", "hyperparameters"),
    [
        ("jumprelu", {"sparsity_mode": "quadratic", "l0_target": 30}),
        ("transcoder", {"l1_alpha": 0.01, "resample_steps": 100}),
        ("standard", {"resample_steps": 100}),
        ("topk", {"decay_fraction": 0.1}),
    ],
)
def test_in_its_own_mode_it_is_accepted_without(architecture: str, hyperparameters: dict[str, Any]) -> None:
    assert parse_spec(spec(architecture=architecture, hyperparameters=hyperparameters))[1] == []


@pytest.mark.parametrize("architecture", TRANSCODERS)
def test_a_transcoder_reads_what_enters_the_mlp(architecture: str) -> None:
    parsed, _ = parse_spec(spec(architecture=architecture, layers=[2]))
    assert parsed.sites == ("layer_2.mlp_in",)
    (problem,) = check_fields(spec(architecture=architecture, hook_points=["resid_post"]))
    assert f"a {architecture} reads mlp_in and predicts mlp_out" in problem.message
    assert problem.suggestion == 'Leave hook_points out, or set it to ["mlp_in"].'


@pytest.mark.parametrize("text", ["", "8,4", "8,8", "0,8", "8,a", "8;16", "-1"])
def test_widths_must_rise(text: str) -> None:
    raw = spec(architecture="matryoshka", hyperparameters={"matryoshka_widths": text})
    (problem,) = check_fields(raw)
    assert "must be rising whole numbers with commas between them" in problem.message


def test_widths_are_read_as_people_type_them() -> None:
    row = HYPERPARAMETERS["matryoshka_widths"]
    assert row.parse(" 256, 512 1024 ") == "256,512,1024"
    assert row.parse("auto") is None


@pytest.mark.parametrize(("text", "value"), [("4096", 4096), ("4k", 4000), ("100_000", 100_000), ("1M", 1_000_000)])
def test_whole_numbers_are_read_as_people_type_them(text: str, value: int) -> None:
    assert HYPERPARAMETERS["num_steps"].parse(text) == value


def test_a_hook_point_that_is_not_offered_leads_to_the_nearest_and_not_to_one_of_a_like_name() -> None:
    (problem,) = check_fields(spec(hook_points=["resid_mid"]))
    assert problem.suggestion is not None and "mlp_in" in problem.suggestion and "attn_out" in problem.suggestion
    assert "resid_pre" not in problem.sentence()
