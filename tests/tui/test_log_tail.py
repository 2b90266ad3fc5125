"""The end of a log that grows, is cut, or is full of a terminal's own sequences."""

from __future__ import annotations

from pathlib import Path

from saetui.tui.job_texts import TAIL_BYTES, LogTail


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert LogTail(tmp_path / "none").poll() == []


def test_only_new_whole_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    tail = LogTail(path)
    path.write_text("one\ntw")
    assert tail.poll() == ["one"]
    with path.open("a") as file:
        file.write("o\nthree\n")
    assert tail.poll() == ["two", "three"]
    assert tail.poll() == []


def test_escape_sequences_and_overwritten_progress_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.write_bytes(b"\x1b[31mred\x1b[0m \x1b]0;title\x07text\n 10%\r 20%\r100%\nbad \xff byte\n")
    assert LogTail(path).poll() == ["red text", "100%", "bad \\xff byte"]


def test_of_a_long_log_only_the_end_is_read_and_what_is_left_out_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.write_bytes(b"x" * 99 + b"\n" + b"y" * TAIL_BYTES)
    tail = LogTail(path)
    tail.poll()
    assert (tail.new_left_out(), tail.new_left_out()) == (100, 0)


def test_a_log_that_cannot_be_read_says_so_once(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.mkdir()
    tail = LogTail(path)
    assert tail.poll() == [f"{path} cannot be read: it is not a plain file"]
    assert tail.poll() == []


def test_a_log_that_was_cut_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "trainer.log"
    path.write_text("a long first line\n")
    tail = LogTail(path)
    tail.poll()
    path.write_text("new\n")
    assert tail.poll() == ["new"]
