"""What is kept on disk, seen without torch: listed, checked, deleted, limited."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from saetui.catalog.cache_limit import make_room, parse_size, read_limit, write_limit
from saetui.catalog.caches import delete_cache, delete_leftovers, find_caches, list_caches, verify_cache
from saetui.errors import Conflict, InvalidInput, NotFound
from saetui.formats.caches import fields_digest


def keep_activations(cache: Path, key: str, used: int, shards: int = 2, contexts: int = 20) -> Path:
    """An entry of `shards` files of 1000 bytes, 10 contexts each, last used at a time."""
    directory = cache / "activations" / key
    directory.mkdir(parents=True)
    written: list[dict[str, Any]] = []
    for number in range(shards):
        content = bytes([number]) * 1000
        (directory / f"{number:05}.safetensors").write_bytes(content)
        written.append(
            {
                "file": f"{number:05}.safetensors",
                "contexts": 10,
                "rows": 70,
                "bytes": 1000,
                "checksum": hashlib.sha256(content).hexdigest(),
            }
        )
    manifest = {
        "model": "bundled:tiny",
        "revision": None,
        "fingerprint": "ab",
        "site": "layer_1.resid_post",
        "module": "transformer.h.1",
        "side": "output",
        "width": 4,
        "dtype": "float32",
        "dataset": "bundled:stdlib",
        "dataset_key": "text",
        "context_length": 8,
        "order_seed": 0,
        "contexts": contexts,
        "rows": 140,
        "contexts_per_shard": 10,
        "shards": written,
        "created_at": "2026-01-01T00:00:00+00:00",
        "version": 1,
    }
    (directory / "manifest.json").write_text(json.dumps({**manifest, "digest": fields_digest(manifest)}))
    os.utime(directory, (used, used))
    return directory


def keep_tokens(cache: Path, key: str) -> Path:
    directory = cache / "tokens" / key
    directory.mkdir(parents=True)
    (directory / "tokens.bin").write_bytes(b"tokens")
    checksum = hashlib.blake2b(b"tokens", digest_size=16).hexdigest()
    manifest = {
        "contexts": 1,
        "context_length": 3,
        "dtype": "uint16",
        "documents": 1,
        "bad_rows": 0,
        "tokens": 3,
        "largest_token": 5,
        "checksum": checksum,
        "source": "a.txt",
        "version": 4,
    }
    (directory / "manifest.json").write_text(json.dumps({**manifest, "digest": fields_digest(manifest)}))
    return directory


def keys(cache: Path) -> list[str]:
    return [entry.key for entry in list_caches(cache)]


def test_entries_are_listed_with_what_they_hold_the_last_used_first(tmp_path: Path) -> None:
    keep_activations(tmp_path, "aa", used=100)
    keep_activations(tmp_path, "bb", used=200, contexts=40)
    keep_tokens(tmp_path, "cc")
    part, whole, tokens = list_caches(tmp_path)
    assert (part.key, part.done, part.complete) == ("bb", 0.5, False)
    assert (whole.key, whole.complete, whole.tokens, whole.what) == (
        "aa",
        True,
        140,
        "layer_1.resid_post of bundled:tiny",
    )
    assert (tokens.kind, tokens.tokens, tokens.what) == ("tokens", 3, "tokens of a.txt")
    assert whole.bytes > 2000


def test_what_is_no_entry_is_not_listed(tmp_path: Path) -> None:
    keep_activations(tmp_path, ".aa.deleted", used=1)
    (tmp_path / "activations" / "locks").mkdir()
    assert list_caches(tmp_path) == []
    assert list_caches(tmp_path / "nowhere") == []


@pytest.mark.parametrize("damage", ["{", "{}", "[1]", b"\xff", None])
def test_what_cannot_be_read_is_listed_damaged_and_deletable(damage: str | bytes | None, tmp_path: Path) -> None:
    for directory in (keep_activations(tmp_path, "aa", used=1), keep_tokens(tmp_path, "cc")):
        manifest = directory / "manifest.json"
        if damage is None:
            manifest.unlink()
        else:
            manifest.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    activations, tokens = list_caches(tmp_path)
    assert (activations.kind, activations.what) == ("activations", "unreadable activations")
    assert (tokens.kind, tokens.what) == ("tokens", "unreadable tokens")
    assert activations.bytes >= 2000
    for entry in (activations, tokens):
        assert not entry.readable and not entry.complete
        (problem,) = verify_cache(entry)
        assert "manifest.json" in problem
        delete_cache(*find_caches(tmp_path, [entry.key]))
    assert list_caches(tmp_path) == []


def test_what_cannot_be_read_counts_and_makes_room(tmp_path: Path) -> None:
    unreadable = keep_activations(tmp_path, "aa", used=1)
    (unreadable / "manifest.json").write_text("{")
    os.utime(unreadable, (1, 1))
    keep_activations(tmp_path, "bb", used=2)
    write_limit(tmp_path, sum(entry.bytes for entry in list_caches(tmp_path)))
    assert make_room(tmp_path, 0) == []
    assert [entry.key for entry in make_room(tmp_path, 1)] == ["aa"]


def test_an_entry_is_meant_by_the_beginning_of_its_key(tmp_path: Path) -> None:
    for key in ("abc1", "abd2"):
        keep_activations(tmp_path, key, used=1)
    assert [entry.key for entry in find_caches(tmp_path, ["abd"])] == ["abd2"]
    with pytest.raises(InvalidInput, match="2 entries"):
        find_caches(tmp_path, ["ab"])
    with pytest.raises(NotFound, match="'x'"):
        find_caches(tmp_path, ["x"])


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    activations, tokens = keep_activations(tmp_path, "aa", used=1), keep_tokens(tmp_path, "cc")
    assert [verify_cache(entry) for entry in list_caches(tmp_path)] == [[], []]
    for path in (activations / "00001.safetensors", tokens / "tokens.bin"):
        content = bytearray(path.read_bytes())
        content[3] ^= 4
        path.write_bytes(content)
    for entry, name in zip(list_caches(tmp_path), ("00001.safetensors", "tokens.bin")):
        (problem,) = verify_cache(entry)
        assert name in problem


@pytest.mark.parametrize("kind", ["activations", "tokens"])
def test_one_flipped_bit_in_a_manifest_is_found(kind: str, tmp_path: Path) -> None:
    directory = keep_tokens(tmp_path, "aa") if kind == "tokens" else keep_activations(tmp_path, "aa", used=1)
    manifest = directory / "manifest.json"
    content = manifest.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        manifest.write_bytes(damaged)
        if differs(content, damaged):
            (entry,) = list_caches(tmp_path)
            assert not entry.readable and not entry.complete, damaged
            assert verify_cache(entry), damaged


def differs(content: bytes, damaged: bytes | bytearray) -> bool:
    """Whether what damaged JSON says differs: a flipped bit may turn a space into nothing that counts."""
    try:
        return bool(json.loads(content) != json.loads(damaged))
    except ValueError:
        return True


def test_a_file_that_is_cut_short_or_gone_is_found(tmp_path: Path) -> None:
    directory = keep_activations(tmp_path, "aa", used=1)
    (directory / "00000.safetensors").write_bytes(b"short")
    (directory / "00001.safetensors").unlink()
    first, second = verify_cache(list_caches(tmp_path)[0])
    assert "5 bytes, not 1000" in first
    assert "cannot be read" in second


def test_what_is_in_use_is_not_deleted(tmp_path: Path) -> None:
    directory = keep_activations(tmp_path, "aa", used=1)
    (entry,) = list_caches(tmp_path)
    (tmp_path / "activations" / "locks").mkdir()
    with (tmp_path / "activations" / "locks" / "aa").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(Conflict, match="in use"):
            delete_cache(entry)
        assert directory.exists()
    delete_cache(entry)
    assert [path.name for path in directory.parent.iterdir()] == ["locks"]


def test_what_killed_processes_left_is_cleared_away_unless_one_is_at_it(tmp_path: Path) -> None:
    left = [keep_tokens(tmp_path, ".cc.x1_z0123"), keep_activations(tmp_path, ".aa.deleted", used=1)]
    left.append(keep_tokens(tmp_path, ".cc.0123abcd.new"))
    busy, busy_too = keep_tokens(tmp_path, ".dd.abcd0123"), keep_tokens(tmp_path, ".dd.abcd0123.new")
    entries = [keep_tokens(tmp_path, "cc"), keep_activations(tmp_path, "aa", used=1)]
    (tmp_path / "tokens" / "locks").mkdir()
    with (tmp_path / "tokens" / "locks" / "dd").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert delete_leftovers(tmp_path) > 2000
    assert not any(directory.exists() for directory in left)
    assert all(directory.exists() for directory in [busy, busy_too, *entries])
    assert delete_leftovers(tmp_path) > 0
    assert not busy.exists() and not busy_too.exists()
    assert delete_leftovers(tmp_path / "nowhere") == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("1.5 GiB", 3 * 2**29), ("500m", 500 * 2**20), ("7B", 7), ("0 B", 0), ("0", 0)],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "20 apples", "1e3", "20", "1.5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a size"):
        parse_size(text)


def test_a_limit_is_kept_and_lifted(tmp_path: Path) -> None:
    assert read_limit(tmp_path) is None
    write_limit(tmp_path, 5000)
    assert read_limit(tmp_path) == 5000
    write_limit(tmp_path, None)
    assert read_limit(tmp_path) is None


def test_room_is_made_by_what_was_not_used_for_longest(tmp_path: Path) -> None:
    for key, used in (("aa", 300), ("bb", 100), ("cc", 200)):
        keep_activations(tmp_path, key, used)
    keep_tokens(tmp_path, "dd")
    each = list_caches(tmp_path)[0].bytes
    write_limit(tmp_path, 3 * each)
    assert make_room(tmp_path, 0) == []
    assert [entry.key for entry in make_room(tmp_path, each, keep=["bb"])] == ["cc"]
    assert keys(tmp_path) == ["aa", "bb", "dd"]


def test_where_there_cannot_be_room_nothing_is_deleted(tmp_path: Path) -> None:
    keep_activations(tmp_path, "aa", used=1)
    write_limit(tmp_path, 3000)
    with pytest.raises(Conflict, match="limit"):
        make_room(tmp_path, 5000)
    with pytest.raises(Conflict, match="limit"):
        make_room(tmp_path, 1500, keep=["aa"])
    assert keys(tmp_path) == ["aa"]


def test_more_than_the_disk_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="free on the disk"):
        make_room(tmp_path, 2**60)


def test_what_the_user_laid_into_the_cache_is_neither_listed_nor_deleted(tmp_path: Path) -> None:
    keep_activations(tmp_path, "aa", used=1)
    theirs = [
        tmp_path / "activations" / "Notes",
        tmp_path / "activations" / ".notes.old",
        tmp_path / "tokens" / "my corpus",
        tmp_path / "tokens" / ".aa.backup-of-june",
    ]
    for directory in theirs:
        directory.mkdir(parents=True)
        (directory / "file").write_text("x")
    (tmp_path / "tokens" / ".ab.deleted").symlink_to(theirs[2])
    (tmp_path / "tokens" / ".ac.0123abcd").mkdir()
    assert keys(tmp_path) == ["aa"]
    delete_leftovers(tmp_path)
    write_limit(tmp_path, 1)
    assert [entry.key for entry in make_room(tmp_path, 1)] == ["aa"]
    assert all((directory / "file").is_file() for directory in theirs)
    assert (tmp_path / "tokens" / ".ab.deleted").is_symlink() and not (tmp_path / "tokens" / ".ac.0123abcd").exists()


def test_an_entry_that_was_moved_to_another_disk_and_linked_back_is_deleted_as_a_link(tmp_path: Path) -> None:
    entry = keep_activations(tmp_path / "cache", "aa", used=1)
    entry.rename(tmp_path / "elsewhere")
    entry.symlink_to(tmp_path / "elsewhere")
    delete_cache(*find_caches(tmp_path / "cache", ["aa"]))
    assert keys(tmp_path / "cache") == [] and not entry.is_symlink()
    assert (tmp_path / "elsewhere" / "manifest.json").is_file()
