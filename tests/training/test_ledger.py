from __future__ import annotations

from pathlib import Path

import pytest

from saetui.rundir.events import read_events
from saetui.training.recorder import EVENTS_KEPT, BufferedEvents

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
def test_events_that_the_disk_refuses_wait_in_bounded_memory() -> None:
    events = BufferedEvents(FULL)
    for number in range(EVENTS_KEPT + 500):
        events.append("info", f"event {number}")
    assert events.waiting == EVENTS_KEPT
    assert not events.write_waiting()
    events.close()


def test_where_there_is_room_nothing_waits(tmp_path: Path) -> None:
    events = BufferedEvents(tmp_path / "events.jsonl")
    events.append("info", "one", step=3, data={"a": 1})
    assert events.waiting == 0
    events.close()
    (event,) = read_events(tmp_path / "events.jsonl")
    assert (event.kind, event.message, event.step, event.data) == ("info", "one", 3, {"a": 1})
