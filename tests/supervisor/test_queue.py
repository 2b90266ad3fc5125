from __future__ import annotations

import pytest

from saetui.protocol.messages import Place
from saetui.supervisor.queue import Postponed, placed


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


def test_a_job_that_waits_is_tried_again_after_ever_longer_times_up_to_a_minute() -> None:
    now = 0.0
    postponed = Postponed(lambda: now)
    delays = [postponed.put_off("a", "no room") for _ in range(8)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]
    assert postponed.waits("a") and not postponed.waits("b") and "no room" in (postponed.message("a") or "")
    now = 60.0
    assert not postponed.waits("a")
    postponed.done("a")
    assert postponed.message("a") is None and postponed.put_off("a", "no room") == 1
