"""A text that is damaged in a place is read without it; one in another encoding is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saetui.activations.chunks import BadRow, Chunk, _before_half_a_character
from saetui.activations.documents import Reading, read_chunks
from saetui.sources.text_files import FileKind, SourceFile, UnusableFile
from tests.activations.preparing import LINES, Preparer, write

LINE = b"a line of ordinary text here\n"


def read(path: Path, content: bytes, *, optional: bool = False) -> tuple[str, list[str]]:
    """The text of a file, and why rows of it are bad."""
    path.write_bytes(content)
    found = list(read_chunks(SourceFile(path, FileKind.TEXT, optional=optional), Reading()))
    chunks = [chunk for chunk in found if isinstance(chunk, Chunk)]
    assert all(chunk.ends_document == (chunk is chunks[-1]) for chunk in chunks)
    return "".join(chunk.text for chunk in chunks), [row.reason for row in found if isinstance(row, BadRow)]


def test_a_bad_line_of_a_large_text_is_left_out_and_told_with_its_place(tmp_path: Path) -> None:
    many = 2**20 // len(LINE) + 1
    text, bad = read(tmp_path / "a.txt", LINE * many + b"caf\xe9\n" + LINE * many)
    assert text.encode() == LINE * 2 * many
    assert bad == [f"{tmp_path}/a.txt, line {many + 1}: byte {many * len(LINE) + 4} (0xe9) is not UTF-8"]


@pytest.mark.parametrize("lines", [1, 300])
def test_more_bad_lines_than_damage_explains_are_another_encoding(lines: int, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"a\.txt, line 2001: byte 58004 \(0xe9\) is not UTF-8") as refused:
        read(tmp_path / "a.txt", LINE * 2000 + b"caf\xe9\n" * lines + LINE * 2000)
    assert (f"and {lines - 1} lines more" in refused.value.message) == (lines > 1)
    assert "iconv -f LATIN1" in str(refused.value.suggestion)


def test_a_large_file_in_another_encoding_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="lines more"):
        read(tmp_path / "a.txt", b"caf\xe9\n" * 1_000_000)
    text, bad = read(tmp_path / "a.txt", b"caf\xe9\n" * 1_000_000 + LINE, optional=True)
    assert (text, len(bad)) == ("", 1)


def test_in_a_directory_what_is_sound_of_a_small_text_stays(prepare: Preparer, tmp_path: Path) -> None:
    sound = "\n".join(LINES)
    write(tmp_path / "text" / "a.txt", "").write_bytes(sound.encode() + b"\ncaf\xe9\n" + sound.encode())
    data = prepare(tmp_path / "text")
    assert (data.documents, data.bad_rows) == (1, 1)
    assert prepare.text(data).startswith(sound)
    assert f"a.txt, line {len(LINES) + 1}: byte {len(sound) + 5} (0xe9)" in str(data.left_out)


def test_characters_across_the_ends_of_what_is_read_at_a_time_stay_whole(tmp_path: Path) -> None:
    for shift in range(4):
        text = "x" * shift + "aé—😀" * 300_000
        assert read(tmp_path / "a.txt", text.encode()) == (text, [])


def test_a_character_cut_off_at_the_end_of_the_file_is_not_utf_8(tmp_path: Path) -> None:
    text, bad = read(tmp_path / "a.txt", LINE * 80_000 + "é".encode()[:1])
    assert text.encode() == LINE * 80_000
    assert "line 80001: " in bad[0]


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", "\ufeff".encode() + LINE) == (LINE.decode(), [])
    many = 2**20 // len(LINE)
    _, bad = read(tmp_path / "a.txt", "\ufeff".encode() + b"\xff\n" + LINE * many + LINE)
    assert "line 1: byte 4 (0xff)" in bad[0]


@given(st.text(), st.text(min_size=1, max_size=1), st.integers(0, 3))
def test_only_the_beginning_of_a_character_is_cut_off(text: str, last: str, length: int) -> None:
    whole, part = text.encode(errors="ignore"), last.encode(errors="ignore")
    length = min(length, max(0, len(part) - 1))
    assert _before_half_a_character(whole + part[:length]) == (whole, part[:length])
