from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.activations import text_rows
from saetui.activations.text_rows import DamagedJson, iterate_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that values lie across the ends of chunks."""
    monkeypatch.setattr(text_rows, "_CHUNK", 3)


@given(st.lists(VALUES), st.sampled_from([None, 2]))
def test_the_elements_of_an_array_come_one_by_one(values: list[object], indent: int | None) -> None:
    assert list(iterate_json(io.StringIO(json.dumps(values, indent=indent)))) == values


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3)))
def test_objects_that_follow_each_other_come_one_by_one(values: list[dict[str, object]]) -> None:
    assert list(iterate_json(io.StringIO("\n".join(map(json.dumps, values))))) == values


@given(st.lists(st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=4))
def test_what_follows_an_array_comes_too(values: list[list[object] | dict[str, object]]) -> None:
    expected = [element for value in values for element in (value if isinstance(value, list) else [value])]
    assert list(iterate_json(io.StringIO("\n".join(map(json.dumps, values))))) == expected


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": ', "[1, 2", '[{"a" 1}]', "{", "nonsense", "[1] garbage", "[1]]"])
def test_text_that_stops_being_json_is_damaged(text: str) -> None:
    with pytest.raises(DamagedJson, match="is not JSON from"):
        list(iterate_json(io.StringIO(text)))


def test_a_value_is_not_sought_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rows, "_LONGEST_ROW", 1000)
    stream = io.StringIO('[1, {"a" "b"' + "x" * 1_000_000)
    with pytest.raises(DamagedJson, match="at character 4 does not end"):
        list(iterate_json(stream))
    assert stream.tell() < 5000


def test_a_number_of_any_length_is_a_value() -> None:
    digits = "7" * 5000
    assert list(iterate_json(io.StringIO(f'[1, {digits}, {{"a": 2}}]'))) == [1, float("inf"), {"a": 2}]


def test_a_value_in_too_many_brackets_is_named() -> None:
    with pytest.raises(DamagedJson, match="at character 4 is nested too deeply"):
        list(iterate_json(io.StringIO("[1, " + '{"a":' * 100_000)))
