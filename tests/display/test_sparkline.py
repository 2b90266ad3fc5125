from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.display.sparkline import BARS, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0.5], "▁"),
        ([1.0, 1.0], "▁▁"),
        ([0, 1, 2, 3, 4, 5, 6, 7], BARS),
        ([8, 4, 2, 1], "█▄▂▁"),
        ([1.0, math.nan, 0.0, math.inf], "█▁"),
        ([0.0, 0.0, 7.0, 7.0], "▁█"),
    ],
)
def test_a_bar_for_each_value_or_for_the_mean_of_several(values: list[float], line: str) -> None:
    assert sparkline(values, 2 if values == [0.0, 0.0, 7.0, 7.0] else 8) == line


@given(st.lists(st.floats(), max_size=200), st.integers(1, 30))
def test_it_is_never_wider_than_asked(values: list[float], width: int) -> None:
    line = sparkline([value for value in values if abs(value) < 1e300 or not math.isfinite(value)], width)
    assert len(line) <= width and set(line) <= set(BARS)
