"""Whatever is written is there whole or not at all: killed at any of its steps, or on a full disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="writes what needs torch; make test runs it")

from saetui.catalog.caches import list_caches, verify_cache
from saetui.failpoints import POINTS
from tests.reliability.writers import RESULT, SOURCE, TEXT, Writers

STEPS = ("write", "fsync", "rename", "directory")
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    writers = Writers()
    yield writers
    writers.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / TEXT).write_text(
        "".join(f"Line {number} says that {number * 7} is not prime. " for number in range(120))
    )
    return tmp_path


def source_of(writers: Writers, root: Path) -> Path:
    """A finished SAE in `source`."""
    assert writers.run("export", root) == 0
    return (root / RESULT).rename(root / SOURCE)


def contents(directory: Path) -> dict[str, str]:
    """Every file below, with its digest, what locks hold apart."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.parent.name != "locks"
    }


def hidden(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob(".*")]


def test_every_write_of_a_cache_or_a_result_has_its_failpoints() -> None:
    for what in ("export", "copy", "import", "tokens", "shard", "entry"):
        assert {f"{what}.{step}" for step in STEPS} <= POINTS


@pytest.mark.parametrize("step", STEPS)
def test_a_text_whose_tokenising_is_killed_is_tokenised_again_and_nothing_is_left(
    writers: Writers, root: Path, step: str
) -> None:
    assert writers.run("tokens", root, f"tokens.{step}=kill") == KILLED
    whole = [entry for entry in list_caches(root / "cache") if entry.complete]
    assert len(whole) == (1 if step == "directory" else 0)
    assert writers.run("tokens", root) == 0
    (entry,) = list_caches(root / "cache")
    assert verify_cache(entry) == []
    assert hidden(root / "cache") == []


@pytest.mark.parametrize(
    "point", [f"{what}.{step}@{hit}" for what in ("shard", "entry") for step in STEPS for hit in (1, 2)]
)
def test_activations_whose_writing_is_killed_go_on_to_the_same_bytes(
    writers: Writers, root: Path, tmp_path_factory: pytest.TempPathFactory, point: str
) -> None:
    name, _, hit = point.partition("@")
    assert writers.run("activations", root, f"{name}=kill@{hit}") == KILLED
    assert writers.run("activations", root) == 0
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(root / TEXT, undisturbed)
    assert writers.run("activations", undisturbed) == 0
    shards = {path: digest for path, digest in contents(root / "cache").items() if path.endswith(".safetensors")}
    assert shards and shards == {
        path: digest for path, digest in contents(undisturbed / "cache").items() if path.endswith(".safetensors")
    }
    for entry in list_caches(root / "cache"):
        assert entry.complete and verify_cache(entry) == []
    assert hidden(root / "cache") == []


@pytest.mark.parametrize("step", STEPS)
def test_an_export_that_is_killed_leaves_the_older_one_or_the_new_one(writers: Writers, root: Path, step: str) -> None:
    def seed() -> int:
        found: int = json.loads((root / RESULT / "cfg.json").read_text())["metadata"]["saetui"]["seed"]
        return found

    assert writers.run("export", root) == 0
    older = contents(root / RESULT)
    assert writers.run("export", root, f"export.{step}=kill") == KILLED
    # At no moment is there none: the two change places as one step.
    assert seed() == (1 if step == "directory" else 0)
    assert (contents(root / RESULT) == older) == (step != "directory")
    before = seed()
    assert writers.run("export", root) == 0
    assert seed() == before + 1
    assert hidden(root) == []


@pytest.mark.parametrize(
    ("writer", "point"),
    [*(("copy", f"copy.{step}") for step in STEPS), *(("import", f"import.{step}") for step in STEPS),
     ("import", "copy.rename"), ("import", "copy.directory")],
)  # fmt: skip
def test_a_copy_that_is_killed_is_whole_or_not_there(writers: Writers, root: Path, writer: str, point: str) -> None:
    target = root / RESULT if writer == "copy" else root / "imported" / RESULT
    whole = contents(source_of(writers, root))
    assert writers.run(writer, root, f"{point}=kill") == KILLED
    assert target.exists() == (point == "copy.directory")
    if not target.exists():
        assert writers.run(writer, root) == 0
    # An import adds where the SAE came from.
    assert {name: digest for name, digest in contents(target).items() if name != "origin.json"} == whole


@pytest.mark.parametrize(
    ("writer", "point"),
    [("tokens", "tokens"), ("activations", "shard"), ("activations", "entry"), ("export", "export"), ("copy", "copy"),
     ("import", "import")],
)  # fmt: skip
@pytest.mark.parametrize("step", STEPS[:3])
def test_on_a_full_disk_nothing_half_made_stays(
    writers: Writers, root: Path, writer: str, point: str, step: str
) -> None:
    if writer in ("copy", "import"):
        source_of(writers, root)
    elif writer == "activations":
        assert writers.run("tokens", root) == 0
    elif writer == "export":
        assert writers.run("export", root) == 0
    before = contents(root)
    assert writers.run(writer, root, f"{point}.{step}=enospc") == 1
    assert {path: digest for path, digest in contents(root).items() if "/activations/" not in f"/{path}"} == before
    assert hidden(root) == []
    assert writers.run(writer, root) == 0


def test_all_of_it_is_the_users_alone(writers: Writers, root: Path) -> None:
    """Under a umask that keeps nothing from anyone."""
    for writer in ("tokens", "activations"):
        assert writers.run(writer, root) == 0
    source_of(writers, root)
    assert writers.run("import", root) == 0
    for path in [*(root / "cache").rglob("*"), *(root / SOURCE).rglob("*"), *(root / "imported" / RESULT).rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), (path, oct(mode))
