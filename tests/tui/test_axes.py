"""Axes: limits that seldom move, labels that say what the numbers are."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.tui.axes import last_shown_step, step_axis, value_axis


def test_a_tiny_constant_is_labelled_with_its_size_not_with_zero() -> None:
    axis = value_axis(1e-9, 1e-9, 3)
    assert "1e-9" in axis.labels
    assert not {"0", "0.0"} & set(axis.labels)


def test_the_limits_stay_while_the_values_suit_them() -> None:
    before = value_axis(0.1, 0.9, 4)
    assert value_axis(0.2, 0.8, 4, before=before) is before


def test_the_limits_are_new_for_another_height() -> None:
    before = value_axis(0.1, 0.9, 6)
    assert value_axis(0.1, 0.9, 7, before=before) is not before


def test_the_limits_move_when_a_value_leaves_them() -> None:
    before = value_axis(0.1, 0.9, 4)
    assert value_axis(0.1, 7.0, 4, before=before).high >= 7.0


def test_the_limits_follow_values_that_have_become_much_smaller() -> None:
    before = value_axis(0.0, 100.0, 4)
    assert value_axis(0.0, 1.0, 4, before=before).high < 10


def test_an_axis_from_zero_begins_at_zero() -> None:
    assert value_axis(30.0, 33.0, 4, zero=True).low == 0.0


def test_a_logarithmic_axis_has_ticks_at_powers_of_ten() -> None:
    axis = value_axis(0.001, 100.0, 6, log=True)
    assert set(axis.labels) <= {"0.001", "0.01", "0.1", "1", "10", "100"}
    assert len(axis.labels) >= 3
    assert axis.low == pytest.approx(-3)
    assert axis.high == pytest.approx(2)


def test_the_step_axis_ends_exactly_at_the_last_step() -> None:
    axis = step_axis(0, 2000, 5)
    assert (axis.low, axis.high) == (0, 2000)
    assert axis.labels == ("0", "500", "1k", "1.5k", "2k")


@pytest.mark.parametrize(
    ("newest", "end"),
    [(0, 10), (10, 10), (11, 20), (500, 500), (501, 1000), (1001, 2000), (4999, 5000), (50_001, 70_000)],
)
def test_the_end_of_a_live_run_grows_in_few_round_jumps_up_to_the_planned_steps(newest: int, end: int) -> None:
    assert last_shown_step(newest, 70_000, ended=False) == end


def test_the_end_of_a_live_run_is_never_after_the_planned_steps_nor_before_a_logged_one() -> None:
    assert last_shown_step(0, 5, ended=False) == 5
    assert last_shown_step(120, 100, ended=False) == 120
    assert last_shown_step(120, None, ended=False) == 200


def test_the_end_of_an_ended_run_is_its_last_logged_step() -> None:
    assert last_shown_step(310, 100_000, ended=True) == 310
    assert last_shown_step(0, 100_000, ended=True) == 1


@given(st.floats(-1e3, 1e6), st.floats(1e-6, 1e6), st.integers(2, 40), st.booleans())
def test_ticks_are_equal_steps_each_exactly_on_a_row(smallest: float, extent: float, rows: int, log: bool) -> None:
    smallest = abs(smallest) + 1e-3 if log else smallest
    axis = value_axis(smallest, smallest + extent, rows, log=log)
    places = [axis.share(tick) * (rows - 1) for tick in axis.ticks]
    assert places == pytest.approx([round(place) for place in places], abs=1e-6)
    assert len({round(later - earlier) for earlier, later in itertools.pairwise(places)}) == 1
    assert min(3, rows) <= len(places) <= 6


@given(st.floats(1e-9, 1e11), st.floats(0, 1e11), st.integers(2, 20), st.booleans())
def test_labels_have_room(smallest: float, extent: float, rows: int, zero: bool) -> None:
    assert max(map(len, value_axis(smallest, smallest + extent, rows, zero=zero).labels)) <= 6


@given(st.floats(-1e12, 1e12), st.floats(0, 1e12), st.integers(1, 8))
def test_all_values_lie_within_the_limits(smallest: float, extent: float, rows: int) -> None:
    largest = smallest + extent
    axis = value_axis(smallest, largest, rows)
    slack = 1e-6 * max(abs(axis.low), abs(axis.high))
    assert axis.low <= smallest + slack
    assert axis.high >= largest - slack
    assert axis.low < axis.high
    assert len(axis.ticks) == len(axis.labels)


@given(st.floats(1e-12, 1e12), st.floats(1, 1e6), st.integers(1, 8))
def test_all_values_lie_within_logarithmic_limits(smallest: float, factor: float, rows: int) -> None:
    axis = value_axis(smallest, smallest * factor, rows, log=True)
    assert axis.low <= math.log10(smallest) + 1e-6
    assert axis.high >= math.log10(smallest * factor) - 1e-6


@given(st.floats(1e-9, 1e9), st.integers(2, 6))
def test_neighbouring_ticks_have_different_labels(extent: float, rows: int) -> None:
    labels = value_axis(0.0, extent, rows).labels
    assert len(set(labels)) == len(labels)
