"""Text from anywhere neither breaks the layout nor reaches the terminal raw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from saetui.display.text import cells, fit, log_line, one_line, plain, shorten


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x1b]0;title\x07", "a\u202egnp.exe", "\x9b31m", "a\x00b", "\u2066x\u2069", "\ud800"]
)
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    cleaned = plain(text)
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for letter in cleaned)
    assert not set(cleaned) & set("\u202e\u2066\u2069\ud800")


def test_ordinary_text_of_any_script_stays() -> None:
    for text in ("tiny-l2-topk_2", "名前", "Ünïcödé", "שלום"):
        assert plain(text) == text


def test_several_lines_become_one() -> None:
    assert one_line("a\nb\tc") == "a b c"


def test_heaped_marks_are_cut() -> None:
    assert len(plain("a" + "\u0301" * 50)) == 3


@given(st.text(max_size=60), st.integers(0, 40))
def test_fitted_text_has_exactly_its_cells(text: str, width: int) -> None:
    assert cell_len(fit(plain(text), width)) == width


@given(st.text(max_size=60), st.integers(1, 40))
def test_shortened_text_is_never_wider(text: str, width: int) -> None:
    assert cell_len(shorten(plain(text), width)) <= width


def test_cut_text_says_so() -> None:
    assert fit("abcdef", 4) == "abc…"
    assert fit("ab", 4, right=True) == "  ab"


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
def test_ordinary_text_stays_as_it_is_written(text: str) -> None:
    assert plain(text) == text


def test_a_log_line_keeps_its_indentation() -> None:
    assert log_line("\tat step 3\r\n") == "        at step 3"


def test_wide_characters_take_two_cells() -> None:
    assert cells("特徴 ab") == 7


def test_a_cut_text_fits_and_says_that_something_is_missing() -> None:
    assert shorten("特徴特徴", 6) == "特徴…"
    assert cells(shorten("特徴特徴", 6)) <= 6
    assert shorten("whole", 5) == "whole"
