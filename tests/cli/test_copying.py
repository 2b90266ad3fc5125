"""An export is there whole, or not at all, and overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from saetui.client.exporting import copy_out
from saetui.errors import Conflict, SaetuiError


@pytest.fixture
def result(tmp_path: Path) -> Path:
    directory = tmp_path / "run" / "layer_2.resid_post"
    directory.mkdir(parents=True)
    (directory / "cfg.json").write_text("{}")
    (directory / "sae_weights.safetensors").write_bytes(b"weights")
    return directory


def left_beside(target: Path) -> list[str]:
    return sorted(entry.name for entry in target.parent.iterdir() if entry.name not in (target.name, "run"))


def test_a_directory_is_copied_under_its_name(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"
    copy_out({"layer_2.resid_post": result}, target)
    copy = target / "layer_2.resid_post"
    assert {entry.name: entry.read_bytes() for entry in copy.iterdir()} == {
        "cfg.json": b"{}",
        "sae_weights.safetensors": b"weights",
    }
    assert left_beside(target) == []


def test_an_empty_directory_may_be_the_target(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    copy_out({"": result}, target)
    assert (target / "cfg.json").is_file()


def test_a_directory_with_something_in_it_is_left_as_it_is(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    with pytest.raises(Conflict, match="is not empty"):
        copy_out({"": result}, target)
    assert [entry.name for entry in target.iterdir()] == ["mine.txt"]
    assert left_beside(target) == []


def test_a_file_at_the_target_is_left_as_it_is(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("keep")
    with pytest.raises(Conflict, match="is not a directory"):
        copy_out({"": result}, target)
    assert target.read_text() == "keep"


def test_a_copy_that_fails_in_the_middle_leaves_nothing(result: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    gone = result.with_name("layer_3.resid_post")
    with pytest.raises(SaetuiError, match="cannot be written"):
        copy_out({"layer_2.resid_post": result, "layer_3.resid_post": gone}, target)
    assert not target.exists()
    assert left_beside(target) == []


def test_a_place_below_a_file_is_refused_with_the_reason(result: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SaetuiError, match=r"File exists.*/file"):
        copy_out({"": result}, tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == ""
