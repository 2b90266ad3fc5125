"""A small file is read at once, or refused at once: whatever lies in its place, nobody waits and no memory is taken."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from saetui.formats.regular import NotRegular, TooLarge, read_regular


def test_a_file_is_read_and_a_link_to_one_too(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"content")
    link.symlink_to(file)
    assert read_regular(file, 7) == read_regular(link, 7) == b"content"
    assert read_regular(Path("/proc/self/status"), 1 << 20).startswith(b"Name:")


def test_what_is_no_file_is_refused_by_its_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
    for path, kind in (
        (tmp_path / "pipe", "a named pipe"),
        (tmp_path / "socket", "a socket"),
        (tmp_path, "a directory"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(NotRegular, match=f"it is {kind}, not a file"):
            read_regular(path, 100)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345678")
    os.truncate(file, 1 << 42)
    with pytest.raises(TooLarge, match="4,398,046,511,104 bytes, and at most 7 are read"):
        read_regular(file, 7)


def test_a_file_that_does_not_say_its_size_is_held_to_the_limit() -> None:
    with pytest.raises(TooLarge):
        read_regular(Path("/proc/self/status"), 7)
