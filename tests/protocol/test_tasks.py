from __future__ import annotations

import math

import pytest

from saetui.errors import ModelError
from saetui.protocol.tasks import decode_answer, encode_error, encode_result


def test_a_result_comes_back_with_figures_that_are_not_finite() -> None:
    found = decode_answer(encode_result({"fvu": math.nan, "sites": ["a"], "why": None}))
    assert math.isnan(found["fvu"]) and found["sites"] == ["a"] and found["why"] is None


def test_an_error_comes_back_as_the_same_error() -> None:
    with pytest.raises(ModelError) as raised:
        decode_answer(encode_error(ModelError("It is damaged.", "Take another.")))
    assert (raised.value.message, raised.value.suggestion) == ("It is damaged.", "Take another.")


@pytest.mark.parametrize("text", ["", "words", "[1]", '{"neither": 1}'])
def test_text_that_is_no_answer_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        decode_answer(text)
