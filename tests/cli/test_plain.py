"""Text from names, logs and datasets cannot act on the terminal."""

from __future__ import annotations

import pytest

from saetui.cli.plain import cells, fit, plain, plain_line


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("title\x1b]0;owned\x07", "title\\x1b]0;owned\\x07"),
        ("\x9b31mred", "\\x9b31mred"),
        ("over\rwritten", "over\\rwritten"),
        ("two\nlines", "two\\nlines"),
        ("ab\u202edc", "ab\\u202edc"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("broken\udcff", "broken\\udcff"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(hostile: str, shown: str) -> None:
    assert plain(hostile) == shown


@pytest.mark.parametrize("text", ["tiny-l2-topk", "Größe × 2 …", "特徴", "non\u00a0breaking"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_a_log_line_keeps_its_indentation() -> None:
    assert plain_line("\tat step 3\r\n") == "        at step 3"


def test_wide_characters_take_two_cells() -> None:
    assert cells("特徴 ab") == 7


def test_a_cut_text_fits_and_says_that_something_is_missing() -> None:
    assert fit("特徴特徴", 6) == "特徴…"
    assert cells(fit("特徴特徴", 6)) <= 6
    assert fit("whole", 5) == "whole"
