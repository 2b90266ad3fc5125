from __future__ import annotations

from typing import Any

import pytest

from saetui.jobs.hyperparameters import ARCHITECTURES, HYPERPARAMETERS, LINKED, for_architecture
from saetui.jobs.problems import Severity, SpecError
from saetui.jobs.spec import check_fields, parse_spec, spec_json


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
        (spec(device="gpu"), "device", "must be auto, cpu, cuda or cuda:N"),
        (spec(dtype="float64"), "dtype", "must be one of"),
        (spec(name="../etc"), "name", "is not a name"),
        (spec(name="a\x1b[31m"), "name", "is not a name"),
        (spec(k=3), "k", "is not a known field"),
        (spec(hyperparameters=[1]), "hyperparameters", "must be an object"),
        (spec(hyperparameters={"k": "many"}), "hyperparameters.k", '"many" must be a whole number'),
        (spec(hyperparameters={"k": True}), "hyperparameters.k", "must be a whole number"),
        (spec(hyperparameters={"learning_rate": float("nan")}), "hyperparameters.learning_rate", "must be a finite"),
        (spec(hyperparameters={"learning_rate": None}), "hyperparameters.learning_rate", "not empty"),
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
    assert "recommended range of 1e-05 to 0.001" in warnings[0].message


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


def test_linked_rows_exist_and_have_one_default_a_group() -> None:
    for group in LINKED:
        assert [HYPERPARAMETERS[name].default is not None for name in group].count(True) == 1


def test_an_architecture_sees_only_its_rows() -> None:
    names = {architecture: {row.name for row in for_architecture(architecture)} for architecture in ARCHITECTURES}
    assert names["topk"] - names["standard"] == {"k", "top_k_sparsity", "aux_k", "aux_k_alpha"}
    assert "l1_alpha" in names["standard"] - names["topk"]


@pytest.mark.parametrize(("text", "value"), [("4096", 4096), ("4k", 4000), ("100_000", 100_000), ("1M", 1_000_000)])
def test_whole_numbers_are_read_as_people_type_them(text: str, value: int) -> None:
    assert HYPERPARAMETERS["num_steps"].parse(text) == value
