"""Figures read well, and what does not exist is never shown as 0."""

from __future__ import annotations

import math
from datetime import datetime, timezone

import pytest

from saetui.cli.figures import ABSENT, ago, count, duration, number, share, size

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize("show", [number, count, size, share, duration, ago])
def test_what_does_not_exist_is_a_dash(show: object) -> None:
    assert callable(show)
    assert show(None) == ABSENT


@pytest.mark.parametrize(
    ("value", "shown"), [(32.0, "32"), (0.0123456, "0.0123"), (1e-9, "1e-09"), (math.nan, "nan"), (math.inf, "inf")]
)
def test_numbers(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(950.0, "950"), (12345.0, "12.3k"), (4.1e6, "4.1M"), (2e9, "2G")])
def test_counts(value: float, shown: str) -> None:
    assert count(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "0 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")])
def test_sizes(value: int, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.999, "99 %"), (1.0, "100 %"), (0.29, "29 %"), (0.0, "0 %")])
def test_a_hundred_per_cent_is_only_said_of_what_is_whole(value: float, shown: str) -> None:
    assert share(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "0 s"), (65, "1 min 05 s"), (1800, "30 min"), (7260, "2 h 01 min"), (90000, "1 d 1 h")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


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
