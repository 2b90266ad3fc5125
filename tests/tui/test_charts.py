"""Charts: sound data for plotext, steady lines for the wire, no curve hidden."""

from __future__ import annotations

import itertools
import math

import pytest

from saetui.tui.charts import GUTTER, MARGIN, POINT, Chart, draw_chart
from saetui.tui.curves import Curve, Style, View, smoothed

VIEW = View(0, 1000)
STEPS = list(range(10, 1001, 10))
NAN, INF = float("nan"), float("inf")


def texts(chart: Chart) -> list[str]:
    return ["".join(text for text, _ in pieces) for pieces in chart.lines]


def dots(chart: Chart) -> int:
    """Cells with something of a curve in them."""
    return sum("\u2801" <= letter <= "\u28ff" for text in texts(chart) for letter in text)


@pytest.mark.parametrize(("width", "height"), [(17, 4), (40, 6), (60, 12), (200, 40)])
def test_a_chart_has_exactly_the_cells_it_was_given(width: int, height: int) -> None:
    chart = draw_chart([Curve(STEPS, [1.0 / step for step in STEPS])], VIEW, width, height)
    assert [len(text) for text in texts(chart)] == [width] * height


def test_too_small_a_place_is_left_empty() -> None:
    assert draw_chart([Curve(STEPS, STEPS)], VIEW, 12, 2).lines == []


def test_without_values_there_are_axes_alone() -> None:
    chart = draw_chart([], VIEW, 40, 8)
    assert dots(chart) == 0
    assert chart.axis is None
    assert "1k" in texts(chart)[-1]


def test_values_that_are_not_finite_are_gaps() -> None:
    values = [NAN if 300 <= step <= 600 else 1.0 for step in STEPS]
    chart = draw_chart([Curve(STEPS, values)], VIEW, 80 + GUTTER, 8)
    row = next(text for text in texts(chart) if any("\u2801" <= letter <= "\u28ff" for letter in text))
    assert row[GUTTER + 28 : GUTTER + 46].strip() == ""
    assert row[GUTTER + 50 : GUTTER + 78].strip() != ""


def test_infinities_do_not_move_the_axis() -> None:
    values = [INF if step == 500 else -INF if step == 510 else 1.0 + step / 1000 for step in STEPS]
    axis = draw_chart([Curve(STEPS, values)], VIEW, 60, 8).axis
    assert axis is not None
    assert axis.high <= 2.5


def test_only_values_that_are_not_finite_draw_nothing() -> None:
    assert dots(draw_chart([Curve(STEPS, [NAN] * len(STEPS))], VIEW, 60, 8)) == 0


def test_values_below_zero_are_gaps_on_a_logarithmic_axis() -> None:
    values = [-1.0 if step < 500 else 10.0 for step in STEPS]
    chart = draw_chart([Curve(STEPS, values)], View(0, 1000, log=True), 60, 8)
    assert chart.axis is not None
    assert chart.axis.low > 0


def test_a_spike_of_one_point_is_seen_among_a_hundred_thousand() -> None:
    count = 100_000
    values = [1.0] * count
    values[77_777] = 50.0
    chart = draw_chart([Curve(range(count), values)], View(0, count), 60, 12)
    assert chart.axis is not None
    assert chart.axis.high >= 50
    assert any("\u2801" <= letter <= "\u28ff" for letter in texts(chart)[0] + texts(chart)[1])


def test_a_spike_outside_the_viewport_neither_moves_the_axis_nor_is_drawn() -> None:
    values = [1e300 if step < 400 else 1.0 for step in STEPS]
    axis = draw_chart([Curve(STEPS, values)], View(500, 1000), 60, 10).axis
    assert axis is not None
    assert axis.high < 10


def test_a_new_point_changes_few_cells() -> None:
    values = [math.exp(-step / 200) + 0.1 for step in STEPS]
    before = draw_chart([Curve(STEPS[:50], values[:50])], VIEW, 60, 12)
    after = draw_chart([Curve(STEPS[:51], values[:51])], VIEW, 60, 12, before.axis)
    old, new = texts(before), texts(after)
    assert sum(a != b for row, other in zip(old, new) for a, b in zip(row, other)) <= 3


def test_ascii_charts_have_ascii_letters_alone() -> None:
    curves = [Curve(STEPS, STEPS), Curve(STEPS, list(reversed(STEPS)), "curve-2")]
    chart = draw_chart(curves, View(0, 1000, ascii=True, inspect=500), 60, 12)
    assert all(text.isascii() for text in texts(chart))


def test_every_curve_keeps_its_role() -> None:
    chart = draw_chart([Curve(STEPS, [1.0] * 100, "curve-3"), Curve(STEPS, [5.0] * 100, "curve-7")], VIEW, 60, 12)
    assert {"curve-3", "curve-7"} <= {role for pieces in chart.lines for _, role in pieces}


def test_the_inspected_step_is_marked_by_a_line() -> None:
    chart = draw_chart([Curve(STEPS, [1.0] * 100)], View(0, 1000, inspect=500), 60, 12)
    assert sum("│" in text[GUTTER + 20 :] for text in texts(chart)) >= 8


STEEP = [50 * math.exp(-step / 30) + 1 + (step % 7) / 20 for step in STEPS]
"""It begins far above the rest."""


def test_a_steep_start_is_cut_off_marked_and_named() -> None:
    chart = draw_chart([Curve(STEPS, STEEP)], VIEW, 60, 12)
    assert chart.axis is not None and chart.axis.high < 3
    assert "↑" in texts(chart)[0] and " 36.98 " in texts(chart)[0]
    assert not any("↑" in text for text in texts(chart)[1:])


def test_a_steep_start_is_cut_off_below_too() -> None:
    chart = draw_chart([Curve(STEPS, [-value for value in STEEP])], VIEW, 60, 12)
    assert "↓" in texts(chart)[9] and " -36.98 " in texts(chart)[9]


@pytest.mark.parametrize("view", [View(0, 1000, log=True), View(0, 1000, whole=False)])
def test_a_logarithmic_or_zoomed_chart_shows_the_steep_start(view: View) -> None:
    chart = draw_chart([Curve(STEPS, STEEP)], view, 60, 12)
    assert "↑" not in "".join(texts(chart))


def test_a_zoomed_chart_fits_what_is_visible() -> None:
    axis = draw_chart([Curve(STEPS, [float(step) for step in STEPS])], View(500, 600, whole=False), 60, 12).axis
    assert axis is not None
    assert 450 <= axis.low <= 500 and 600 <= axis.high <= 650


def test_a_mark_says_where_zero_is_cut_off() -> None:
    curve = Curve(STEPS, [30.0 + step / 1000 for step in STEPS])
    assert "≈" in texts(draw_chart([curve], VIEW, 60, 12))[-2]
    assert "≈" not in texts(draw_chart([curve], View(0, 1000, zero=True), 60, 12))[-2]


@pytest.mark.parametrize("height", [6, 7, 8, 9, 10, 12, 15, 20, 33])
def test_labels_of_values_stand_equally_far_apart_at_every_height(height: int) -> None:
    chart = draw_chart([Curve(STEPS, [step / 1234 for step in STEPS])], VIEW, 60, height)
    rows = [row for row, text in enumerate(texts(chart)[:-2]) if text[: GUTTER - 1].strip()]
    assert len({later - earlier for earlier, later in itertools.pairwise(rows)}) == 1
    assert len(rows) >= 3


@pytest.mark.parametrize("ascii", [False, True])
def test_nothing_touches_the_edges(ascii: bool) -> None:
    chart = draw_chart([Curve(STEPS, [value / 40 for value in STEEP])], View(0, 1000, ascii=ascii), 60, 12, unit="%")
    assert all(text[0] == " " and text[-1] == " " for text in texts(chart))


def test_the_steps_have_numbers_at_every_size() -> None:
    for width, height in ((30, 4), (38, 9), (58, 12)):
        assert {"0", "1k"} <= set(texts(draw_chart([Curve(STEPS, STEPS)], VIEW, width, height))[-1].split())


@pytest.mark.parametrize("ascii", [False, True])
def test_curves_that_coincide_are_all_seen_and_told_apart_without_colour(ascii: bool) -> None:
    curves = [Curve(STEPS, [1.0] * 100, f"curve-{number}", letter=letter) for number, letter in enumerate("abc", 1)]
    chart = draw_chart(curves, View(0, 1000, ascii=ascii), 58, 12)
    assert {"curve-1", "curve-2", "curve-3"} <= {role for pieces in chart.lines for _, role in pieces}
    assert set("abc") <= set("".join(texts(chart)))


def test_held_out_values_are_single_marks_over_the_line() -> None:
    held_out = Curve([250, 500, 750], [1.0, 1.0, 1.0], "curve-3", style=Style.POINTS)
    for ascii, mark in ((False, POINT), (True, "o")):
        chart = draw_chart([Curve(STEPS, [1.0] * 100), held_out], View(0, 1000, ascii=ascii), 60, 12)
        assert "".join(texts(chart)).count(mark) == 3


@pytest.mark.parametrize("ascii", [False, True])
def test_held_out_values_of_several_sites_are_letters_of_which_none_hides_another(ascii: bool) -> None:
    sites = [
        Curve([500], [0.9], f"curve-{place}", letter=letter, style=Style.POINTS)
        for place, letter in enumerate("abc", 1)
    ]
    chart = draw_chart(sites, View(0, 1000, ascii=ascii), 60, 12)
    assert any("abc" in text for text in texts(chart))


def test_many_held_out_values_leave_the_line_to_be_seen() -> None:
    held_out = Curve(STEPS, [1.0] * 100, "curve-3", style=Style.POINTS)
    chart = draw_chart([Curve(STEPS, [1.0] * 100), held_out], VIEW, GUTTER + 60 + MARGIN, 12)
    assert 10 <= "".join(texts(chart)).count(POINT) <= 21
    assert dots(chart) >= 30


def test_a_line_stands_before_the_dots_of_what_it_smooths() -> None:
    values = [1.0 + (step // 10) % 2 for step in STEPS]
    beneath = Curve(STEPS, values, "faint", style=Style.DOTS)
    chart = draw_chart([Curve(STEPS, [1.5] * 100), beneath], VIEW, 60, 12)
    assert {"faint", "curve-1"} <= {role for pieces in chart.lines for _, role in pieces}


@pytest.mark.parametrize("step", [10, 250, 490, 560, 600, 740, 1000])
def test_the_inspected_step_stands_below_its_line_and_cuts_no_other_number(step: int) -> None:
    last = texts(draw_chart([Curve(STEPS, STEPS)], View(0, 1000, inspect=step), 39, 9))[-1]
    assert f"{step:,}" in last.split()
    assert set(last.split()) <= {f"{step:,}", "0", "500", "1k"}
    assert len(last) == 39


def test_smoothing_of_a_constant_is_that_constant_from_the_first_point_on() -> None:
    assert smoothed([2.0, 2.0, 2.0], 0.9) == pytest.approx([2.0, 2.0, 2.0])


def test_smoothing_leaves_gaps_out_and_in_place() -> None:
    result = smoothed([1.0, NAN, 3.0], 0.5)
    assert math.isnan(result[1])
    assert result[2] == pytest.approx((0.5 * 0.5 * 1.0 + 0.5 * 3.0) / 0.75)


def test_the_nearest_point_to_a_step_is_found() -> None:
    curve = Curve([10, 20, 40], [1.0, 2.0, 4.0])
    assert [curve.at(step) for step in (0, 14, 16, 29, 31, 99)] == [
        (10, 1.0), (10, 1.0), (20, 2.0), (20, 2.0), (40, 4.0), (40, 4.0),
    ]  # fmt: skip
    assert Curve([], []).at(3) is None
