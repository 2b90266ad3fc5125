"""`saetui cache` on real activations of the bundled model."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from saetui.home import Home
from tests.conditions import eventually, lives

from .conftest import Saetui, small_spec


def shards(home: Home) -> list[Path]:
    """Those that are finished: a file that no manifest names yet is still being written."""
    return sorted(
        manifest.parent / shard["file"]
        for manifest in home.cache.glob("activations/*/manifest.json")
        for shard in json.loads(manifest.read_text())["shards"]
    )


@pytest.mark.slow
def test_a_cache_is_built_killed_finished_listed_verified_and_deleted(
    home: Home, saetui: Saetui, tmp_path: Path
) -> None:
    spec = small_spec(tmp_path)
    text = tmp_path / "text.txt"
    text.write_text(text.read_text() * 3)
    building = subprocess.Popen(
        [sys.executable, "-m", "saetui", "cache", "build", str(spec)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not shards(home):
        assert building.poll() is None
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()

    listed = saetui("cache", "list", "--json").document
    part = [entry for entry in listed if entry["kind"] == "activations"]
    assert not all(entry["complete"] for entry in part)
    before = {path: path.stat().st_mtime_ns for path in shards(home)}

    built = saetui("cache", "build", spec, "--json").document
    assert sorted(entry["site"] for entry in built) == ["layer_1.resid_post", "layer_2.resid_post"]
    assert all(entry["complete"] and entry["model"] == "bundled:tiny" for entry in built)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "finished shards are not written again"
    assert {entry["key"] for entry in part} <= {entry["key"] for entry in built}

    assert saetui("cache", "verify").code == 0
    damaged = shards(home)[0]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    refused = saetui("cache", "verify", "--json")
    assert refused.code == 1
    assert [entry["key"] for entry in refused.document if not entry["sound"]] == [damaged.parent.name]
    assert damaged.name in refused.err

    damaged.write_bytes(content[:-1])
    assert saetui("cache", "build", spec).code == 0
    assert saetui("cache", "verify").code == 0, "what was cut short is extracted again"

    assert saetui("cache", "delete", damaged.parent.name[:8], "--yes").code == 0
    assert damaged.parent.name not in saetui("cache", "list").out
    assert saetui("cache", "delete", "--all", "--json").code == 0
    assert saetui("cache", "list", "--json").document == []


def test_the_limit_is_set_shown_and_lifted(home: Home, saetui: Saetui) -> None:
    assert saetui("cache", "limit").out == "off\n"
    assert saetui("cache", "limit", "20GiB").out == "20.0 GiB\n"
    assert saetui("cache", "limit", "--json").document == {"limit_bytes": 20 * 2**30, "kept_bytes": 0}
    assert saetui("cache", "limit", "off").out == "off\n"
    assert "is not a size" in saetui("cache", "limit", "much").err


def test_a_limit_below_what_is_kept_says_so_and_when_room_is_made(home: Home, saetui: Saetui) -> None:
    directory = unreadable_entry(home, "aaaa1111aaaa")
    assert "more" not in saetui("cache", "limit", "3kB").err
    lowered = saetui("cache", "limit", "1000B")
    assert lowered.out == "1000 B\n"
    assert "2.9 KiB, 2.0 KiB more" in lowered.err and "saetui cache delete" in lowered.err
    assert directory.exists()
    refused = saetui("cache", "limit", "20")
    assert "no unit" in refused.err and "20GB" in refused.err
    assert saetui("cache", "limit", "--json").document == {"limit_bytes": 1000, "kept_bytes": 3000}


def test_an_entry_that_is_not_there_is_named(home: Home, saetui: Saetui) -> None:
    refused = saetui("cache", "delete", "abc", "--yes")
    assert refused.code == 1
    assert "'abc'" in refused.err


def test_an_entry_that_cannot_be_read_is_shown_and_deleted(home: Home, saetui: Saetui) -> None:
    directory = unreadable_entry(home, "abcdef0123456789")
    shown = saetui("cache", "list")
    assert "abcdef01  unreadable activations" in shown.out
    assert "2.9 KiB" in shown.out
    assert "saetui cache delete abcdef01" in shown.err
    (entry,) = saetui("cache", "list", "--json").document
    assert (entry["readable"], entry["bytes"], entry["site"]) == (False, 3000, None)
    assert saetui("cache", "verify").code == 1
    assert saetui("cache", "delete", "abcdef01", "--yes").code == 0
    assert not directory.exists()


def unreadable_entry(home: Home, key: str) -> Path:
    directory = home.make().cache / "activations" / key
    directory.mkdir(parents=True)
    (directory / "00000.safetensors").write_bytes(bytes(3000))
    return directory


def test_what_is_in_use_does_not_keep_the_rest_from_being_deleted(home: Home, saetui: Saetui) -> None:
    busy, other = unreadable_entry(home, "aaaa1111aaaa"), unreadable_entry(home, "bbbb2222bbbb")
    left = unreadable_entry(home, ".cccc3333.deleted")
    locks = home.cache / "activations" / "locks"
    locks.mkdir()
    with (locks / busy.name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        refused = saetui("cache", "delete", "aaaa", "bbbb", "--yes")
        assert (refused.code, other.exists(), busy.exists()) == (1, False, True)
        assert "aaaa1111" in refused.err and "in use" in refused.err
        other.mkdir()
        deleted = saetui("cache", "delete", "--all", "--json")
    assert (deleted.code, deleted.document) == (0, ["bbbb2222bbbb"])
    assert "aaaa1111" in deleted.err and "2.9 KiB" in deleted.err
    assert busy.exists() and not other.exists() and not left.exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_extraction_ends_with_its_command(end: signal.Signals, home: Home, tmp_path: Path) -> None:
    spec = small_spec(tmp_path)
    building = subprocess.Popen([sys.executable, "-m", "saetui", "cache", "build", str(spec)], stderr=subprocess.PIPE)
    assert building.stderr is not None
    building.stderr.readline()
    (extraction,) = psutil.Process(building.pid).children()
    extraction.suspend()  # it cannot end by itself
    try:
        building.send_signal(end)
        assert building.wait() == (-end if end == signal.SIGKILL else 128 + end)
        building.stderr.close()
        eventually(lambda: not lives(extraction.pid))
    finally:
        with suppress(psutil.NoSuchProcess):
            extraction.kill()
