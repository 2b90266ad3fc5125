"""Files of text are uncompressed and told from what only looks like them."""

from __future__ import annotations

import bz2
import codecs
import gzip
import importlib.util
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from saetui.errors import DatasetError
from saetui.sources.text_files import (
    HEAD_BYTES,
    KINDS,
    Compression,
    FileKind,
    SourceFile,
    UnusableFile,
    opened,
    recognise,
    require_text,
)

TEXT = b"".join(b"line %d of a text\n" % number for number in range(50_000))
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


def file(path: Path, content: bytes) -> SourceFile:
    path.write_bytes(content)
    found = recognise(path)
    assert found is not None
    return found


def read(found: SourceFile) -> bytes:
    with opened(found) as stream:
        return b"".join(iter(lambda: stream.read(10_000), b""))


@pytest.mark.parametrize("ending", ["", *PACK])
def test_a_file_is_uncompressed_on_the_way(ending: str, tmp_path: Path) -> None:
    pack = PACK.get(ending, bytes)
    assert read(file(tmp_path / f"a.jsonl{ending}", pack(TEXT))) == TEXT
    # As made by `cat a.gz b.gz`.
    assert read(file(tmp_path / f"b.txt{ending}", pack(TEXT) + pack(b"the end"))) == TEXT + b"the end"
    with opened(file(tmp_path / f"c.txt{ending}", pack(TEXT))) as stream:
        assert stream.readline() == b"line 0 of a text\n"


@pytest.mark.parametrize("ending", PACK)
def test_what_is_cut_short_or_damaged_or_not_compressed_is_refused_by_its_name(ending: str, tmp_path: Path) -> None:
    packed = PACK[ending](TEXT)
    middle = len(packed) // 2
    broken = packed[:middle] + bytes(byte ^ 0xFF for byte in packed[middle : middle + 200]) + packed[middle + 200 :]
    for number, content in enumerate((packed[:-40], broken, b"not compressed at all " * 100)):
        found = file(tmp_path / f"{number}.txt{ending}", content)
        with pytest.raises(UnusableFile, match=rf"{number}.txt{ending} cannot be read") as refused:
            read(found)
        assert refused.value.suggestion


def test_what_was_compressed_with_a_long_window_is_read(tmp_path: Path) -> None:
    long = zstandard.ZstdCompressionParameters.from_level(3, window_log=30)
    packed = zstandard.ZstdCompressor(compression_params=long).compressobj()
    assert read(file(tmp_path / "a.txt.zst", packed.compress(TEXT) + packed.flush())) == TEXT


def test_a_missing_reader_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name, extra in (("a.jsonl.zst", "saetui[zstd]"), ("a.parquet", "saetui[datasets]")):
        with pytest.raises(DatasetError, match="which is not installed") as refused:
            read(file(tmp_path / name, b"x"))
        assert extra in str(refused.value.suggestion)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet", "a.arrow", "a.json.gz"])
def test_a_git_lfs_pointer_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n"
    with pytest.raises(UnusableFile, match=f"{name} is a Git LFS pointer, not the file") as refused:
        read(file(tmp_path / name, pointer))
    assert "git lfs pull" in str(refused.value.suggestion)


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
def test_an_encoding_with_a_mark_is_refused_by_its_name(encoding: str, tmp_path: Path) -> None:
    mark = getattr(codecs, f"BOM_{encoding[:-2].replace('-', '')}_{encoding[-2:]}")
    content = mark + "a text".encode(encoding)
    with pytest.raises(UnusableFile, match=f"is text in {encoding}, not in UTF-8") as refused:
        require_text(file(tmp_path / "a.txt", content), content[:HEAD_BYTES])
    assert f"iconv -f {encoding[:-2]} " in str(refused.value.suggestion)


def test_kinds_go_by_the_end_of_the_name_in_small_and_large_letters() -> None:
    kinds = {
        "a.txt": FileKind.TEXT,
        "A.MD": FileKind.TEXT,
        "a.b.py": FileKind.TEXT,
        "a.NDJSON": FileKind.JSON_LINES,
        "a.tsv": FileKind.TSV,
        "a.feather": FileKind.ARROW,
    }
    for name, kind in kinds.items():
        assert recognise(Path(name)) == SourceFile(Path(name), kind)
        assert kind.has_columns or recognise(Path(f"{name}.XZ")) == SourceFile(Path(f"{name}.XZ"), kind, Compression.XZ)
    assert not any(map(recognise, map(Path, ("a", "a.gz", "a.pdf", "a.parquet.gz", ".txt", "jsonl"))))
    assert all(ending in KINDS for ending in (".md", ".zst", ".feather"))
