"""Figures: few letters, and none is ever invented."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from saetui.display.figures import ABSENT, ago, count, duration, number, percent, short_count, size, size_of

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize("show", [ago, count, duration, number, percent, short_count, size])
def test_what_does_not_exist_is_a_dash(show: object) -> None:
    assert callable(show)
    assert show(None) == ABSENT == "–"


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
    assert percent(0.29) == "29%"
    assert percent(0.0) == "0%"
    assert percent(0.99996, 1) == "99.9%"


@pytest.mark.parametrize(("value", "text"), [(950, "950"), (999.9, "1.00k"), (12_345, "12.3k"), (1_200_000, "1.20M")])
def test_counts_are_shortened(value: float, text: str) -> None:
    assert short_count(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.4, "<1s"), (42, "42s"), (185, "3m05s"), (7800, "2h10m"), (442_800, "5d03h"), (float("nan"), "–")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1536, "1.5 KiB"),
        (3 << 30, "3.0 GiB"),
        (2.5e9, "2.3 GiB"),
        (250e6, "238 MiB"),
        (1 << 50, "1024 TiB"),
        ((1 << 20) - 1, "1.0 MiB"),
    ],
)
def test_sizes_have_a_unit(amount: float, text: str) -> None:
    assert size(amount) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1 << 30, 3 << 29, "1.0/1.5 GiB"), (1 << 29, 31 << 29, " 0.5/15.5 GiB"), (1 << 20, 200 << 20, "  1/200 MiB")],
)
def test_a_part_of_a_size_has_the_unit_and_the_width_of_the_whole(part: int, whole: int, text: str) -> None:
    assert size_of(part, whole) == text


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-21T11:59:59.500Z", "just now"),
        ("2026-11-21T12:00:03Z", "just now"),
        ("2026-11-21T11:57:00Z", "3 min ago"),
        ("2026-11-21T13:00:00+02:00", "1 h ago"),
        ("2026-11-18T12:00:00Z", "3 d ago"),
    ],
)
def test_times_are_told_from_now(time: str, shown: str) -> None:
    assert ago(time, NOW) == shown
