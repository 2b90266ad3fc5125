"""Which field of a row is its document."""

from __future__ import annotations

import numpy as np
import pytest

from saetui.activations.fields import field_names, find_field, holds_tokens

MESSAGES = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({"text": "a", "input_ids": [1]}, "text", ("text", "a")),
        ({"text": None, "input_ids": [1]}, "text", ("text", None)),
        ({"meta": {"text": "a"}}, "meta.text", ("meta.text", "a")),
        ({"meta": {"in": {"text": "a"}}}, "meta.in.text", ("meta.in.text", "a")),
        ({"meta.text": "a", "meta": {"text": "b"}}, "meta.text", ("meta.text", "a")),
        ({"meta": "a"}, "meta.text", None),
        ({"input_ids": [1, 2]}, "text", ("input_ids", [1, 2])),
        ({"tokens": [1, 2]}, "text", ("tokens", [1, 2])),
        ({"tokens": ["a", "b"], "messages": MESSAGES}, "text", ("messages", MESSAGES)),
        ({"tokens": ["a", "b"]}, "text", None),
        ({"messages": "hello"}, "text", None),
        ({"input_ids": [1, 2]}, "body", None),
    ],
)
def test_the_field_that_is_asked_for_is_taken_and_in_place_of_the_default_what_is_there(
    row: dict[str, object], field: str, expected: tuple[str, object] | None
) -> None:
    assert find_field(row, field) == expected


def test_tokens_are_whole_numbers_and_some() -> None:
    assert holds_tokens([1, 2]) and holds_tokens(np.array([1, 2]))
    for value in ([], [True], [1.0], ["1"], [[1]], "12", np.array([1.0]), np.array([[1]]), np.array([], np.int64)):
        assert not holds_tokens(value)


def test_fields_are_named_with_those_inside_them() -> None:
    row = {"id": 1, "meta": {"text": "a", "source": "b"}, "empty": {}}
    assert field_names(row) == ["id", "meta.text", "meta.source", "empty"]
