from __future__ import annotations

from pathlib import Path

import pytest

from saetui.errors import NotFound
from saetui.rundir.checkpoints import delete_unless_read, kept_while_read, list_checkpoints, new_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with new_checkpoint(tmp_path, 10) as path:
        (path / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "step_000000010"


def test_what_is_read_is_not_deleted_until_its_last_reader_is_done(checkpoint: Path) -> None:
    with kept_while_read(checkpoint), kept_while_read(checkpoint):
        assert not delete_unless_read(checkpoint)
    with kept_while_read(checkpoint) as path:
        assert not delete_unless_read(checkpoint)
        assert (path / "weights.safetensors").read_bytes() == b"weights"
    assert delete_unless_read(checkpoint)
    assert list(checkpoint.parent.iterdir()) == []


def test_a_reader_that_fails_holds_nothing_back(checkpoint: Path) -> None:
    with pytest.raises(RuntimeError), kept_while_read(checkpoint):
        raise RuntimeError("it could not be used")
    assert delete_unless_read(checkpoint)
    assert list_checkpoints(checkpoint.parent) == []


def test_what_was_deleted_cannot_be_read(checkpoint: Path) -> None:
    delete_unless_read(checkpoint)
    with pytest.raises(NotFound, match="step_000000010"), kept_while_read(checkpoint):
        pass
