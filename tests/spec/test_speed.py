"""The figures that `saetui bench` keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from saetui.errors import FormatError
from saetui.spec.speed import predict_seconds, read_figures
from tests.spec.test_estimates import FIGURES


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    assert read_figures(file) is None
    file.write_bytes(msgspec.json.encode(FIGURES))
    assert read_figures(file) == FIGURES


def test_figures_of_another_version_are_measured_anew(tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(FIGURES, version=99)))
    assert read_figures(file) is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version": 1', b"\xff"])
def test_a_damaged_file_says_how_to_make_a_new_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "machine.json"
    file.write_bytes(content)
    with pytest.raises(FormatError) as refused:
        read_figures(file)
    assert refused.value.suggestion == "Measure again: saetui bench"


def test_a_step_grows_with_width_latents_and_batch() -> None:
    def seconds(width: int, latents: int, batch: int) -> float:
        found = predict_seconds(
            FIGURES, architecture="topk", steps=1, batch_size=batch, width=width, latents=latents, sites=1,
            forward_parameters=0,
        )  # fmt: skip
        assert found is not None
        return found

    assert seconds(128, 1024, 2048) == pytest.approx(0.1)
    assert seconds(256, 1024, 2048) == pytest.approx(0.2)
    assert seconds(128, 1024, 4096) == pytest.approx(0.2)
    assert seconds(128, 2048, 2048) == pytest.approx(0.2)
