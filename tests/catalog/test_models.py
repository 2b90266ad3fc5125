"""What a form learns of a model from its files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.catalog.models import find_model, list_models
from saetui.errors import ModelError


def write_model(directory: Path, shards: int = 1) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(
        json.dumps({"model_type": "llama", "num_hidden_layers": 6, "hidden_size": 32, "max_position_embeddings": 64})
    )
    (directory / "tokenizer.json").write_text("{}")
    names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1)]
    for name in names:
        (directory / name).write_bytes(b"x" * 10)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}})
    )
    return directory


def test_a_model_says_its_shape_and_size(tmp_path: Path) -> None:
    info = find_model(str(write_model(tmp_path / "model", shards=3)))
    assert (info.family, info.num_layers, info.hidden_size, info.context_limit) == ("llama", 6, 32, 64)
    assert (info.size_bytes, info.middle_layer) == (30, 3)


def test_a_download_that_broke_off_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "model", shards=3)
    (directory / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-00002-of-00003\.safetensors"):
        find_model(str(directory))


def test_models_in_the_hubs_cache_are_listed_when_they_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("whole", "part"):
        write_model(tmp_path / f"models--someone--{name}" / "snapshots" / "abc", shards=2)
        (tmp_path / f"models--someone--{name}" / "refs").mkdir()
        (tmp_path / f"models--someone--{name}" / "refs" / "main").write_text("abc")
    (tmp_path / "models--someone--part" / "snapshots" / "abc" / "model-00001-of-00002.safetensors").unlink()
    assert [info.reference for info in list_models()] == ["bundled:tiny", "someone/whole"]


def test_weights_that_can_run_code_are_refused_with_the_way_out(tmp_path: Path) -> None:
    directory = write_model(tmp_path / "model")
    (directory / "model.safetensors.index.json").unlink()
    (directory / "model-00001-of-00001.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin, which can run code.*save_pretrained"):
        find_model(str(directory))
