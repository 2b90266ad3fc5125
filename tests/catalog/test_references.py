"""What a template refers to is looked through once, and again when it has changed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from saetui.catalog import references
from saetui.catalog.references import References


def dataset(path: Path) -> dict[str, object]:
    return {"dataset": {"source": str(path)}}


def test_what_is_not_on_this_machine_is_flagged_after_a_look() -> None:
    known = References()
    spec = {"model": "/no/such/model", "dataset": {"source": "/no/such/text"}}
    assert known.known_missing(spec) == ()
    known.refresh(spec)
    assert known.known_missing(spec) == ("model", "dataset")
    assert known.known_missing({}) == ()


def test_the_same_reference_is_looked_through_once_however_many_templates_name_it(tmp_path: Path) -> None:
    known = References()
    (tmp_path / "text.txt").write_text("words " * 100)
    for _ in range(240):
        known.refresh({"model": "bundled:tiny", **dataset(tmp_path / "text.txt")})
        known.refresh({"dataset": {"source": "bundled:stdlib"}})
    assert known.scans == 3


def test_what_has_changed_is_looked_through_again(tmp_path: Path) -> None:
    known = References()
    text = tmp_path / "text.txt"
    spec = dataset(text)
    known.refresh(spec)
    assert known.known_missing(spec) == ("dataset",)
    text.write_text("words " * 100)
    known.refresh(spec)
    assert known.known_missing(spec) == () and known.scans == 2
    text.unlink()
    known.refresh(spec)
    assert known.known_missing(spec) == ("dataset",) and known.scans == 3


def test_a_model_whose_configuration_is_repaired_is_found(tmp_path: Path) -> None:
    known = References()
    spec = {"model": str(tmp_path)}
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "tokenizer.json").write_text("{}")
    known.refresh(spec)
    assert known.known_missing(spec) == ("model",)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 6, "n_embd": 32}))
    known.refresh(spec)
    assert known.known_missing(spec) == ()


def test_a_directory_that_had_no_text_is_looked_at_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = References()
    (tmp_path / "deeper").mkdir()
    spec = dataset(tmp_path)
    known.refresh(spec)
    mark = tmp_path.stat()
    (tmp_path / "deeper" / "text.txt").write_text("words " * 100)
    os.utime(tmp_path, ns=(mark.st_atime_ns, mark.st_mtime_ns))
    known.refresh(spec)
    assert known.known_missing(spec) == ("dataset",) and known.scans == 1
    monkeypatch.setattr(references, "AGAIN_SECONDS", 0.0)
    known.refresh(spec)
    assert known.known_missing(spec) == ()


@pytest.mark.parametrize("name", ["x" * 100_000, "a/" * 50_000, "nul\0byte", "~nobody-of-that-name/x"])
def test_a_name_that_can_be_no_path_is_missing(name: str) -> None:
    known = References()
    spec = {"model": name, "dataset": {"source": name}}
    known.refresh(spec)
    assert known.known_missing(spec) == ("model", "dataset")


def test_a_dataset_is_missing_where_its_split_is(tmp_path: Path) -> None:
    (tmp_path / "validation-0.jsonl").write_text('{"text": "the cat"}\n')

    def missing(**more: str) -> tuple[str, ...]:
        known, spec = References(), {"dataset": {"source": str(tmp_path), **more}}
        known.refresh(spec)
        return known.known_missing(spec)

    assert missing(split="validation") == ()
    assert missing(split="test") == ("dataset",)
    assert missing() == ("dataset",)
