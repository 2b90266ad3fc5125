from __future__ import annotations

import random
from pathlib import Path

from saetui.rundir.events import DAMAGED, EventLog, EventReader, read_events


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


def test_a_torn_line_loses_only_itself_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.append("info", "one")
    log.append("info", "two")
    log.close()
    path.write_bytes(path.read_bytes()[:-9])
    EventLog(path).append("info", "three")
    one, lost, three = read_events(path)
    assert [one.message, lost.message, three.message] == ["one", DAMAGED, "three"]
    assert (lost.kind, lost.time) == ("warning", one.time)


def test_a_flipped_bit_is_never_read_as_an_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    for step in range(4):
        log.append("info", f"a message of step {step}", step=step, data={"fvu": 0.25})
    sound = read_events(path)
    content = path.read_bytes()
    rng = random.Random(0)
    for _ in range(400):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        found = read_events(path)
        assert [event for event in found if event.message != DAMAGED] != sound
        assert all(event in sound or event.message == DAMAGED for event in found)
        assert any(event.message == DAMAGED for event in found) or len(found) < len(sound)


def test_lines_of_an_older_saetui_have_no_checksum_and_are_read(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"time":"t","kind":"info","message":"old","step":3,"data":{}}\n')
    EventLog(path).append("info", "new")
    assert [event.message for event in read_events(path)] == ["old", "new"]


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


def test_a_log_that_is_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    for message in ("one", "two", "three"):
        EventLog(path).append("info", message)
    assert len(reader.poll()) == 3
    path.unlink()
    EventLog(path).append("info", "again")
    assert [event.message for event in reader.poll()] == ["again"]
