"""Preferences as people type them."""

from __future__ import annotations

import pytest

from saetui.errors import InvalidInput
from saetui.jobs.preferences import Preferences, check_preferences, chosen_charts


def test_charts_are_columns_with_commas_between() -> None:
    kept = check_preferences({"charts": " l0, fvu,l0 "})
    assert kept == {"charts": "l0,fvu"}
    assert chosen_charts(Preferences(charts="l0,fvu")) == ("l0", "fvu")


def test_by_default_no_charts_are_chosen() -> None:
    assert check_preferences({"charts": "auto"}) == {"charts": "auto"}
    assert chosen_charts(Preferences()) == ()


@pytest.mark.parametrize("text", ["", "fvu,", "speed", "auto,fvu"])
def test_a_chart_that_does_not_exist_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"charts: .* is not auto, or one or more of loss, fvu"):
        check_preferences({"charts": text})
