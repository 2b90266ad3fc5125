"""A log is read from its end and in pieces; what its limit removes is neither read twice nor missed in silence."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from saetui import runner
from saetui.rundir.log import LINE_BYTES, LogReader, last_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trainer.log"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def numbered(first: int, last: int) -> str:
    return "".join(f"line {number:07}\n" for number in range(first, last))


def test_a_log_that_is_not_there_has_no_lines(path: Path) -> None:
    assert LogReader(path).read() == []
    assert last_lines(path, 100) == []


def test_only_finished_lines_are_handed_out_and_the_rest_on_request(path: Path) -> None:
    reader = LogReader(path)
    append(path, "one\ntw")
    assert reader.read() == ["one"]
    append(path, "o\nthree")
    assert reader.read() == ["two"]
    assert (reader.rest(), reader.rest()) == (["three"], [])


def test_the_end_of_a_long_log_is_read_from_the_beginning_of_a_line_on(path: Path) -> None:
    append(path, numbered(0, 10_000))
    assert last_lines(path, 130) == [f"line {number:07}" for number in range(9990, 10_000)]
    assert last_lines(path, 135) == [f"line {number:07}" for number in range(9990, 10_000)]
    reader = LogReader(path, 130)
    reader.read()
    assert reader.left_out == 9990 * 13


def test_reading_the_end_of_a_log_of_gigabytes_takes_no_memory_to_speak_of(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(6 << 30)
        file.seek(0, 2)
        file.write(b"\nthe end\n")
    tracemalloc.start()
    try:
        assert last_lines(path, 100)[-1] == "the end"
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_line_without_end_is_handed_out_in_parts(path: Path) -> None:
    append(path, "x" * (3 * LINE_BYTES) + "\nafter\n")
    lines = LogReader(path).read_all()
    assert [len(line) for line in lines] == [LINE_BYTES] * 3 + [5]


def test_a_reader_of_the_end_leaves_out_what_came_too_fast_and_counts_it(path: Path) -> None:
    reader = LogReader(path, 1300)
    append(path, numbered(0, 10))
    assert len(reader.read_all()) == 10
    append(path, numbered(10, 1010))
    assert reader.read_all() == [f"line {number:07}" for number in range(910, 1010)]
    assert reader.left_out == 900 * 13


def test_a_log_that_was_begun_anew_is_read_from_its_start(path: Path) -> None:
    append(path, "a long first line\n")
    reader = LogReader(path)
    reader.read()
    path.write_text("new\n")
    assert reader.read() == ["new"]


def test_a_limit_keeps_the_newest_lines_and_says_how_much_went(path: Path) -> None:
    append(path, numbered(0, 10_000))
    runner.shorten(str(path), most=130_000, kept=13_000)
    assert path.stat().st_size == 130_000, "not above the limit yet"
    append(path, numbered(10_000, 10_001))
    runner.shorten(str(path), most=130_000, kept=13_000)
    header, *lines = path.read_text().splitlines()
    assert lines == [f"line {number:07}" for number in range(10_001 - len(lines), 10_001)]
    assert len(lines) in (999, 1000)
    assert header.split() == ["[saetui", "removed", str(13 * (10_001 - len(lines))), "bytes", "of", "this", "log]"]
    reader = LogReader(path)
    assert reader.read() == lines
    assert reader.left_out == 13 * (10_001 - len(lines))


def test_a_reader_goes_on_where_it_was_when_the_log_loses_its_oldest_part(path: Path) -> None:
    reader = LogReader(path)
    seen: list[str] = []
    for first in range(0, 5000, 100):
        append(path, numbered(first, first + 100))
        if first % 300 == 0:
            seen += reader.read_all()
        runner.shorten(str(path), most=20_000, kept=8_000)
    seen += reader.read_all()
    assert seen == [f"line {number:07}" for number in range(5000)]
    assert reader.left_out == 0


def test_a_reader_that_was_away_too_long_counts_what_is_gone(path: Path) -> None:
    reader = LogReader(path)
    append(path, numbered(0, 10))
    seen = reader.read_all()
    append(path, numbered(10, 5000))
    runner.shorten(str(path), most=20_000, kept=8_000)
    seen += reader.read_all()
    assert 13 * len(seen) + reader.left_out == 13 * 5000
    assert seen[-1] == "line 0004999"


def test_who_writes_goes_on_behind_the_new_end(path: Path) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "w") as trainer:
        trainer.write(numbered(0, 5000))
        trainer.flush()
        runner.shorten(str(path), most=20_000, kept=8_000)
        trainer.write(numbered(5000, 5002))
    assert path.read_text().splitlines()[-2:] == ["line 0005000", "line 0005001"]
    assert b"\0" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["directory", "fifo", "device"])
def test_what_is_no_plain_file_is_refused_at_once(path: Path, kind: str) -> None:
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a plain file"):
        LogReader(path).read()
