from __future__ import annotations

import pytest

from saetui.protocol.messages import Place
from saetui.supervisor.order import placed


@pytest.mark.parametrize(
    ("chosen", "to", "expected"),
    [
        ("c", Place.FIRST, "cabde"),
        ("db", Place.FIRST, "dbace"),
        ("b", Place.LAST, "acdeb"),
        ("a", Place.UP, "abcde"),
        ("e", Place.DOWN, "abcde"),
        ("cd", Place.UP, "acdbe"),
        ("ab", Place.UP, "abcde"),
        ("ac", Place.DOWN, "badce"),
        ("", Place.FIRST, "abcde"),
    ],
)
def test_the_chosen_move_and_the_others_keep_their_order(chosen: str, to: Place, expected: str) -> None:
    assert "".join(placed("abcde", chosen, to)) == expected
