"""Times are shown in the zone of who looks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from saetui.display.dates import date_and_time, listed
from saetui.display.figures import ABSENT, ago
from saetui.display.text import one_line

STORED = "2026-11-21T22:23:00.123Z"


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "local", "name"),
    [("JST-9", "2026-11-22 07:23:00", "JST"), ("EST5", "2026-11-21 17:23:00", "EST"), ("UTC0", "2026-11-21 22:23:00", "UTC")],
    indirect=["zone"],
)  # fmt: skip
def test_a_time_has_its_date_in_the_zone_of_the_user(zone: None, local: str, name: str) -> None:
    assert listed(STORED) == local
    assert date_and_time(STORED) == f"{local} {name}"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-45T99:00:00Z", "\x1b[31m2026"])
def test_a_text_that_is_no_time_is_shown_as_it_is_and_safely(text: str) -> None:
    assert date_and_time(text) == listed(text) == one_line(text)
    assert ago(text) == ABSENT
    assert "\x1b" not in listed(text)
