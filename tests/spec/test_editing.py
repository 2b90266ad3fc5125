from __future__ import annotations

from pathlib import Path

import pytest

from saetui.errors import InvalidInput
from saetui.spec.editing import absolute_paths, apply_overrides, load_spec_file, read_layers
from saetui.spec.problems import SpecError


def test_overrides_reach_fields_dataset_and_hyperparameters() -> None:
    raw = {"model": "m", "hyperparameters": {"k": 32}}
    changed = apply_overrides(
        raw, ["k=16", "layers=1,2", "context_length=64", "dataset=bundled:stdlib", "seed=7", "learning_rate=3e-4"]
    )
    assert changed == {
        "model": "m",
        "hyperparameters": {"k": 16, "learning_rate": 3e-4},
        "layers": [1, 2],
        "dataset": {"context_length": 64, "source": "bundled:stdlib"},
        "seed": 7,
    }
    assert raw == {"model": "m", "hyperparameters": {"k": 32}}


def test_setting_one_of_linked_values_drops_the_others() -> None:
    changed = apply_overrides({"hyperparameters": {"num_steps": 10, "k": 4}}, ["num_tokens=1M", "top_k_sparsity=1"])
    assert changed["hyperparameters"] == {"num_tokens": 1_000_000, "top_k_sparsity": 1.0}


def test_every_bad_override_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides({}, ["k", "kk=3", "layers=a", "batch_size=0"])
    assert [problem.field for problem in caught.value.problems] == ["k", "kk", "layers", "batch_size"]


@pytest.mark.parametrize(("text", "number"), [("1,000", 1000), ("2,048k", 2_048_000), ("12,345,678", 12_345_678)])
def test_a_comma_between_groups_of_three_digits_is_read(text: str, number: int) -> None:
    assert apply_overrides({}, [f"num_tokens={text}"])["hyperparameters"] == {"num_tokens": number}


@pytest.mark.parametrize("override", ["k=8,16", "k=1,0000", "k=,5", "k=1,,000", "context_length=1,28", "seed=0,1"])
def test_a_comma_elsewhere_is_never_dropped(override: str) -> None:
    with pytest.raises(SpecError, match="must be a whole number"):
        apply_overrides({}, [override])


def test_null_leaves_a_hyperparameter_out() -> None:
    raw = {"hyperparameters": {"k": 32, "learning_rate": 1e-3}}
    assert apply_overrides(raw, ["k=null"])["hyperparameters"] == {"learning_rate": 1e-3}
    assert apply_overrides(raw, ["grad_clip_norm=null"])["hyperparameters"]["grad_clip_norm"] is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["k=8", "k=9"], "k: is given twice. Give one of them."),
        (["num_steps=10", "num_epochs=2"], "num_epochs: excludes num_steps, which is given too. Give one of them."),
    ],
)
def test_two_overrides_of_one_quantity_are_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides({}, overrides)
    assert [problem.sentence() for problem in caught.value.problems] == [said]


@pytest.mark.parametrize(
    ("override", "way_out"),
    [
        ("lr_schedul=cosine", "Did you mean lr_schedule?"),
        ("context_lenght=64", "Did you mean context_length?"),
        ("lr_schedule=cosin", "Did you mean cosine?"),
        ("foo=3", "`saetui help training` and `saetui help architectures` name them."),
    ],
)
def test_the_way_out_is_the_nearest_name(override: str, way_out: str) -> None:
    with pytest.raises(SpecError) as caught:
        apply_overrides({}, [override])
    (problem,) = caught.value.problems
    assert problem.suggestion == way_out


def test_relative_paths_become_absolute_and_references_stay(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    raw = {"model": "model", "dataset": {"source": "./text"}}
    assert absolute_paths(raw, tmp_path) == {
        "model": str(tmp_path / "model"),
        "dataset": {"source": str(tmp_path / "text")},
    }
    raw = {"model": "openai-community/gpt2", "dataset": {"source": "bundled:stdlib"}}
    assert absolute_paths(raw, tmp_path) == raw


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read"), (b"{", "is not JSON"), (b"\xff\xfe{\0", "UTF-16"), (b"caf\xe9", "byte 3"), (b"[1]", "does not hold a JSON object")]
)  # fmt: skip
def test_a_file_that_is_no_spec_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "spec.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=words) as caught:
        load_spec_file(path)
    assert str(path) in caught.value.message
    assert caught.value.suggestion


def test_a_byte_order_mark_before_a_spec_is_no_part_of_it(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "spec.json"
    path.write_text('{"model": "bundled:tiny"}', encoding="utf-8-sig")
    assert load_spec_file(path) == {"model": "bundled:tiny"}


def test_a_deeply_nested_file_is_refused_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(InvalidInput, match="is not JSON"):
        load_spec_file(path)


@pytest.mark.parametrize(
    ("text", "layers"), [("2", [2]), ("0-3", [0, 1, 2, 3]), ("0-23:8, 3", [0, 8, 16, 3]), ("[1,1-2]", [1, 2]), ("", [])]
)
def test_layers_are_numbers_and_ranges(text: str, layers: list[int]) -> None:
    assert read_layers(text) == layers
    assert apply_overrides({}, [f"layers={text}"])["layers"] == layers


@pytest.mark.parametrize("text", ["3-1", "1-", "-1", "0-4:0", "4:2", "0-5000", "a-b"])
def test_what_is_no_range_is_refused_with_its_part(text: str) -> None:
    with pytest.raises(SpecError, match="layers") as caught:
        apply_overrides({}, [f"layers={text}"])
    assert caught.value.problems[0].suggestion or "whole number" in caught.value.problems[0].message
