"""Figures: few letters, and none is ever invented."""

from __future__ import annotations

import pytest

from saetui.tui.figures import count, duration, number, percent, short_count, size


@pytest.mark.parametrize("show", [count, duration, number, percent, short_count, size])
def test_what_does_not_exist_is_a_dash(show: object) -> None:
    assert callable(show)
    assert show(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (1e-9, "1.00e-9"), (0.001, "0.00100"), (0.0971, "0.0971"), (32.3, "32.30"), (999999.0, "999999"), (1e7, "1.00e7"),
     (float("nan"), "nan"), (float("-inf"), "-inf")],
)  # fmt: skip
def test_numbers_keep_about_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_less_than_all_is_never_a_hundred_percent() -> None:
    assert percent(0.9999) == "99%"
    assert percent(1.0) == "100%"
    assert percent(0.99996, 1) == "99.9%"


@pytest.mark.parametrize(("value", "text"), [(950, "950"), (999.9, "1.00k"), (12_345, "12.3k"), (1_200_000, "1.20M")])
def test_counts_are_shortened(value: float, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "42s"), (185, "3m05s"), (7800, "2h10m"), (442_800, "5d03h"), (float("nan"), "–")]
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(512, "512 B"), (1_234_567, "1.2 MB"), (5.1e9, "5.1 GB"), (250e6, "250 MB")]
)
def test_sizes_have_a_unit(amount: float, text: str) -> None:
    assert size(amount) == text
