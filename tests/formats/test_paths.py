"""A text that can be no path is refused in words, whatever asks for it; very long ones are not repeated whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.errors import InvalidInput
from saetui.formats.paths import user_path, why_no_path
from saetui.spec.training_spec import check_fields

IMPOSSIBLE = {
    "x" * 100_000: "has 100000 bytes; a path has at most 4095",
    "é" * 200: "holds a name of 400 bytes; the most are 255",
    "nul\0byte": "contains a NUL byte",
    "bad\udcff": "is not in UTF-8",
    "~nobody-of-that-name/x": "a user that this machine does not have",
}


def test_what_can_be_a_path_is_made_absolute() -> None:
    assert why_no_path("a/" * 2000) is None
    assert user_path("a") == Path.cwd() / "a"
    assert user_path("~/a") == Path.home() / "a"


@pytest.mark.parametrize(("text", "words"), IMPOSSIBLE.items(), ids=range(len(IMPOSSIBLE)))
def test_what_can_be_none_is_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        user_path(text)
    assert len(str(caught.value).encode()) < 300


@pytest.mark.parametrize(("text", "words"), IMPOSSIBLE.items(), ids=range(len(IMPOSSIBLE)))
def test_a_spec_says_which_of_its_fields_it_is(text: str, words: str) -> None:
    fields = {
        "model": text,
        "revision": text,
        "start_from": text,
        "dataset": {"source": text, "split": text, "text_field": text},
    }
    problems = check_fields(fields)
    assert [problem.field for problem in problems] == [
        "model", "revision", "dataset.source", "dataset.split", "dataset.text_field", "start_from",
    ]  # fmt: skip
    assert all(words in problem.message for problem in problems)


def test_of_very_many_unknown_fields_the_first_are_told_and_the_rest_counted() -> None:
    made_up = {f"k{number}": number for number in range(60_000)}
    for spec, field in (
        ({"model": "m", "dataset": {"source": "s"}, **made_up}, "spec"),
        ({"model": "m", "dataset": {"source": "s", **made_up}}, "dataset"),
        ({"model": "m", "dataset": {"source": "s"}, "hyperparameters": made_up}, "hyperparameters"),
    ):
        problems = check_fields(spec)
        assert len(problems) == 21
        assert problems[20].field == field and "59980 more fields" in problems[20].message
