"""Counting a model's parameters from the heads of its files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from saetui.bundled import TINY
from saetui.catalog.models import read_model_size
from saetui.errors import ModelError


def write_head(path: Path, shapes: dict[str, list[int]], rest: bytes = b"") -> None:
    """A safetensors file of which only the head is sound: that is all that is read."""
    head = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    text = json.dumps({"__metadata__": {"format": "pt"}, **head}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def test_the_bundled_model_has_as_many_as_its_card_says() -> None:
    size = read_model_size(TINY)
    assert size.total == 1_350_400
    assert len(size.layers) == 4
    assert len(set(size.layers)) == 1
    assert size.vocabulary == 4096


def write_index(directory: Path, *names: str) -> None:
    places = {f"tensor of {name}": name for name in names}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def test_parts_are_told_apart_over_several_files(tmp_path: Path) -> None:
    write_index(tmp_path, "model-1.safetensors", "model-2.safetensors")
    write_head(tmp_path / "model-1.safetensors", {"model.embed_tokens.weight": [100, 8], "model.layers.0.a": [8, 8]})
    write_head(
        tmp_path / "model-2.safetensors",
        {"model.layers.1.mlp.experts.5.w": [3, 8], "model.norm.weight": [8], "lm_head.weight": [100, 8]},
    )
    size = read_model_size(tmp_path)
    assert (size.embedding, size.layers, size.head, size.vocabulary) == (800, (64, 24), 808, 100)
    assert size.up_to(0) == 864


def test_the_layers_of_a_tower_for_images_are_not_those_of_the_text(tmp_path: Path) -> None:
    shapes = {
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": [8, 8],
        "vision_tower.vision_model.encoder.layers.7.mlp.fc1.weight": [8, 8],
        "multi_modal_projector.linear_1.weight": [4, 4],
        "language_model.model.embed_tokens.weight": [100, 8],
        "language_model.model.layers.0.mlp.up_proj.weight": [3, 8],
        "language_model.lm_head.weight": [100, 8],
    }
    write_head(tmp_path / "model.safetensors", shapes)
    size = read_model_size(tmp_path)
    assert (size.embedding, size.layers, size.head, size.vocabulary) == (800 + 64 + 64 + 16, (24,), 800, 100)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 8, struct.pack("<Q", 5) + b"[1,2]", struct.pack("<Q", 3) + b"{\xff}"]
)
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        read_model_size(tmp_path)
