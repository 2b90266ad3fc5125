from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from saetui.errors import FormatError
from saetui.formats.durable import write_durably
from saetui.rundir.layout import RunDirectory


def test_a_new_directory_has_its_spec_and_is_closed_to_others(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "runs" / "abc")
    run.create({"model": "bundled:tiny"})
    assert run.read_spec() == {"model": "bundled:tiny"}
    assert run.path.stat().st_mode & 0o077 == 0
    assert run.spec.stat().st_mode & 0o077 == 0


def test_a_directory_is_never_made_twice_and_nothing_half_made_is_left(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "abc")
    run.create({"a": 1})
    with pytest.raises(FileExistsError):
        run.create({"a": 2})
    assert run.read_spec() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["abc"]


def test_a_damaged_spec_is_named_in_the_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "abc")
    run.create({"a": 1})
    run.spec.write_bytes(b"{")
    with pytest.raises(FormatError, match=r"spec\.json"):
        run.read_spec()


def test_a_durable_write_that_fails_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_durably(target, b"old")
    target_is_now_a_directory = tmp_path / "directory"
    target_is_now_a_directory.mkdir()
    with pytest.raises(OSError):
        write_durably(target_is_now_a_directory, b"new")
    write_durably(target, b"new")
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_a_flipped_bit_in_a_spec_is_never_read_as_another_spec(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "abc")
    run.create({"seed": 1, "hyperparameters": {"k": 32}})
    content = run.spec.read_bytes()
    for position in range(len(content)):
        run.spec.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(FormatError, match=r"spec\.json"):
            run.read_spec()


def test_the_checksum_of_a_spec_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "abc")
    run.create({"seed": 1})
    subprocess.run(["sha256sum", "--check", "--status", run.spec_checksum.name], cwd=run.path, check=True)
