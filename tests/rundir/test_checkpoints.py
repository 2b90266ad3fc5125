from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from saetui.errors import FormatError
from saetui.formats.sealed import seal
from saetui.rundir.checkpoints import (
    delete_checkpoint,
    list_checkpoints,
    new_checkpoint,
    newest_sound,
    sweep,
    verify_checkpoint,
)


def save(directory: Path, step: int, content: bytes = b"weights", fvu: float | None = None) -> Path:
    with new_checkpoint(directory, step, fvu) as path:
        (path / "weights.safetensors").write_bytes(content)
        (path / "state.json").write_bytes(b"{}")
    return directory / f"step_{step:09d}"


def test_a_checkpoint_is_listed_with_its_step_and_size_and_verifies(tmp_path: Path) -> None:
    save(tmp_path, 20)
    save(tmp_path, 10, fvu=0.25)
    listed = list_checkpoints(tmp_path)
    assert [(info.step, info.size_bytes, info.fvu) for info in listed] == [(10, 9, 0.25), (20, 9, None)]
    assert verify_checkpoint(listed[1].path).step == 20


def test_a_save_that_fails_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    save(tmp_path, 10)
    with pytest.raises(OSError, match="disk"), new_checkpoint(tmp_path, 20) as path:
        (path / "weights.safetensors").write_bytes(b"part")
        raise OSError("the disk is full")
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000010"]


@pytest.mark.parametrize(
    "damage", [b"", b"weight", b"weightS", b"weights" + b"\0" * 8], ids=["empty", "short", "changed", "zero tail"]
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_taken(tmp_path: Path, damage: bytes) -> None:
    save(tmp_path, 10)
    newest = save(tmp_path, 20)
    (newest / "weights.safetensors").write_bytes(damage)
    with pytest.raises(FormatError, match=r"weights\.safetensors"):
        verify_checkpoint(newest)
    sound = newest_sound(tmp_path)
    assert sound is not None
    assert sound.step == 10


def test_without_its_manifest_a_directory_is_no_checkpoint(tmp_path: Path) -> None:
    (save(tmp_path, 10) / "manifest.json").unlink()
    assert list_checkpoints(tmp_path) == []
    assert newest_sound(tmp_path) is None


def test_saving_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 10, b"old")
    save(tmp_path, 10, b"newer")
    assert (tmp_path / "step_000000010" / "weights.safetensors").read_bytes() == b"newer"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_interrupted_saves_and_removals_left_is_swept(tmp_path: Path) -> None:
    save(tmp_path, 10)
    (tmp_path / ".step_000000020.0123abcd").mkdir()
    shutil.copytree(tmp_path / "step_000000010", tmp_path / ".step_000000010.0123abcd")
    (tmp_path / ".step_000000005.0123abcd.deleted").mkdir()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000010"]
    delete_checkpoint(tmp_path / "step_000000010")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_only_lacked_its_name_gets_it(tmp_path: Path) -> None:
    os.rename(save(tmp_path, 10), tmp_path / ".step_000000010.0123abcd")
    half = save(tmp_path, 20)
    (half / "weights.safetensors").write_bytes(b"half")
    os.rename(half, tmp_path / ".step_000000020.0123abcd")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000010"]
    assert verify_checkpoint(tmp_path / "step_000000010").step == 10


def test_a_checkpoint_that_is_refused_is_told_with_its_reason(tmp_path: Path) -> None:
    save(tmp_path, 10)
    (save(tmp_path, 20) / "weights.safetensors").write_bytes(b"")
    (save(tmp_path, 30) / "manifest.json").write_bytes(b"{}")
    refused: list[FormatError] = []
    sound = newest_sound(tmp_path, refused)
    assert sound is not None and sound.step == 10
    assert ["manifest.json" in refused[0].message, "weights.safetensors" in refused[1].message] == [True, True]


def test_a_checkpoint_under_another_steps_name_is_refused(tmp_path: Path) -> None:
    os.rename(save(tmp_path, 10), tmp_path / "step_000000099")
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(FormatError, match="of step 10"):
        verify_checkpoint(tmp_path / "step_000000099")


def test_a_checkpoint_that_was_swapped_in_from_another_job_is_refused(tmp_path: Path) -> None:
    mine, other = (tmp_path / job / "checkpoints" for job in ("aaaaaaaa", "bbbbbbbb"))
    save(mine, 10)
    save(other, 20)
    shutil.copytree(other / "step_000000020", mine / "step_000000020")
    with pytest.raises(FormatError, match="a checkpoint of the job bbbbbbbb, not of aaaaaaaa"):
        verify_checkpoint(mine / "step_000000020")
    refused: list[FormatError] = []
    sound = newest_sound(mine, refused)
    assert sound is not None and sound.step == 10 and len(refused) == 1


def test_a_checkpoint_of_a_home_that_was_copied_or_moved_is_the_same_jobs(tmp_path: Path) -> None:
    save(tmp_path / "home" / "runs" / "aaaaaaaa" / "checkpoints", 10)
    shutil.copytree(tmp_path / "home", tmp_path / "copy")
    sound = newest_sound(tmp_path / "copy" / "runs" / "aaaaaaaa" / "checkpoints")
    assert sound is not None and sound.step == 10


def test_a_checkpoint_from_before_manifests_named_their_job_is_taken(tmp_path: Path) -> None:
    save(tmp_path / "aaaaaaaa" / "checkpoints", 10)
    path = tmp_path / "aaaaaaaa" / "checkpoints" / "step_000000010" / "manifest.json"
    fields = msgspec.json.decode(path.read_bytes())
    del fields["job"], fields["crc"]
    path.write_bytes(seal(msgspec.json.encode(fields)))
    assert verify_checkpoint(path.parent).step == 10


def test_only_what_has_the_name_of_an_interrupted_save_is_swept(tmp_path: Path) -> None:
    kept = save(tmp_path / "elsewhere", 5).parent
    ours = [".step_000000010.0123abcd", ".step_000000010.0123abcd.deleted"]
    others = [".step_000000010.best", ".step_mine", ".step_000000010.deleted", ".step_000000010.0123abcd.old", "notes"]
    for name in [*ours, *others]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    (tmp_path / ".step_000000011.0123abcd").symlink_to(kept)
    (tmp_path / ".step_000000012.0123abcd").write_text("a file")
    sweep(tmp_path)
    stay = {*others, "elsewhere", ".step_000000011.0123abcd", ".step_000000012.0123abcd"}
    assert {path.name for path in tmp_path.iterdir()} == stay
    assert all((tmp_path / name / "file").is_file() for name in others) and list_checkpoints(kept)
