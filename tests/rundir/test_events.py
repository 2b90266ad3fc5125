from __future__ import annotations

from pathlib import Path

from saetui.rundir.events import EventLog, EventReader, read_events


def test_events_are_read_in_order_with_their_data(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    log.append("started", "Training begins", data={"num_steps": 10})
    log.append("ended", "Done", step=10, data={"outcome": "completed"})
    events = read_events(tmp_path / "events.jsonl")
    assert [event.kind for event in events] == ["started", "ended"]
    assert events[0].data == {"num_steps": 10}
    assert events[0].step is None
    assert events[1].step == 10
    assert events[0].time <= events[1].time


def test_a_torn_line_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append("info", "one")
    log.append("info", "two")
    log.close()
    path.write_bytes(path.read_bytes()[:-9])
    EventLog(path).append("info", "three")
    assert [event.message for event in read_events(path)] == ["one", "three"]


def test_a_reader_gets_each_event_once_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.poll() == []
    EventLog(path).append("info", "one")
    with open(path, "ab") as file:
        file.write(b'{"time":"t","kind":"info",')
    assert [event.message for event in reader.poll()] == ["one"]
    with open(path, "ab") as file:
        file.write(b'"message":"two"}\n')
    assert [event.message for event in reader.poll()] == ["two"]
