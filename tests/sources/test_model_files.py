"""What lies in a model's directory: each file of it once, and words that lead out where something else lies there."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from saetui.bundled import TINY
from saetui.catalog.models import find_model, read_model_size
from saetui.errors import ModelError
from saetui.sources.model_files import find_model_files

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 548105171\n"
ADAPTER = {"peft_type": "LORA", "base_model_name_or_path": "someone/base"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    for path in TINY.iterdir():
        shutil.copyfile(path, directory / path.name)
    return directory


def openers() -> list[Callable[[str], object]]:
    """What opens a model for a training, where torch is installed: it refuses in the same words."""
    if importlib.util.find_spec("torch") is None:
        return []
    from saetui.activations.models import open_model

    return [open_model]


def refusal(reference: str | Path) -> str:
    """What the form and what opens the model say, which is the same."""
    said = []
    for ask in (find_model, *openers()):
        with pytest.raises(ModelError) as caught:
            ask(str(reference))
        assert caught.value.suggestion
        said.append(f"{caught.value.message} {caught.value.suggestion}")
    assert set(said) == {said[0]}
    return said[0]


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_called_so(name: str, model: Path) -> None:
    (model / name).write_text(POINTER)
    said = refusal(model)
    assert f"{model / name} is a Git LFS pointer" in said
    assert "git lfs pull" in said


def test_an_adapter_alone_is_refused_with_its_base_and_how_it_is_merged(model: Path) -> None:
    (model / "config.json").unlink()
    (model / "model.safetensors").rename(model / "adapter_model.safetensors")
    (model / "adapter_config.json").write_text(json.dumps(ADAPTER))
    said = refusal(model)
    assert "is an adapter (LoRA) of someone/base, not a model" in said
    assert "merge_and_unload" in said


def test_an_adapter_saved_with_the_configuration_of_its_base_is_no_model_either(model: Path) -> None:
    (model / "model.safetensors").rename(model / "adapter_model.safetensors")
    (model / "adapter_config.json").write_text(json.dumps(ADAPTER | {"peft_type": "IA3"}))
    assert "is an adapter (IA3) of someone/base, not a model" in refusal(model)


def test_an_adapter_beside_a_model_is_not_left_out_in_silence(model: Path) -> None:
    (model / "adapter_model.safetensors").write_bytes(b"x")
    (model / "adapter_config.json").write_text(json.dumps({"peft_type": None}))
    said = refusal(model)
    assert (
        "holds a model and beside it an adapter (adapter_config.json: PEFT, of a model that it does not name)" in said
    )
    assert "take the adapter's files out" in said


def test_a_damaged_adapter_is_one_clear_error(model: Path) -> None:
    (model / "adapter_config.json").write_text("{")
    assert "adapter_config.json cannot be read" in refusal(model)


def test_gguf_is_named_whether_it_is_alone_or_the_file_itself_is_given(model: Path, tmp_path: Path) -> None:
    (model / "model.safetensors").rename(model / "model.Q4_K_M.gguf")
    (tmp_path / "other").mkdir()
    shutil.copyfile(model / "model.Q4_K_M.gguf", tmp_path / "other" / "q4.gguf")
    assert "model.Q4_K_M.gguf: GGUF, the format of llama.cpp" in refusal(model)
    assert "q4.gguf: GGUF, the format of llama.cpp" in refusal(tmp_path / "other")
    assert "is a GGUF file" in refusal(tmp_path / "other" / "q4.gguf")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_link_that_leads_nowhere_is_a_broken_download(name: str, model: Path) -> None:
    (model / name).unlink()
    (model / name).symlink_to(model / "blobs" / "0123")
    said = refusal(model)
    assert f"{model / name} is a link that leads nowhere" in said
    assert "saetui models --download" in said


def consolidated(directory: Path) -> None:
    shutil.copyfile(directory / "model.safetensors", directory / "consolidated.safetensors")


def in_one_shard(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model-00001-of-00001.safetensors")
    places = {"transformer.wte.weight": "model-00001-of-00001.safetensors"}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    shutil.copyfile(directory / "model-00001-of-00001.safetensors", directory / "consolidated.safetensors")


@pytest.mark.parametrize("change", [consolidated, in_one_shard])
def test_a_second_copy_of_the_weights_counts_once(change: Callable[[Path], None], model: Path) -> None:
    size, parameters = (model / "model.safetensors").stat().st_size, read_model_size(model)
    change(model)
    assert find_model(str(model)).size_bytes == size
    assert read_model_size(model) == parameters
    assert len(find_model_files(str(model)).weights) == 1


def test_weights_under_a_name_that_transformers_does_not_read_are_no_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "consolidated.safetensors")
    assert "has consolidated.safetensors, and neither model.safetensors nor model.safetensors.index.json" in refusal(
        model
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "tf_model.h5", "consolidated.00.pth"])
def test_weights_of_another_kind_are_named(name: str, model: Path) -> None:
    (model / "model.safetensors").rename(model / name)
    assert f"It has {name}" in refusal(model)


@pytest.mark.parametrize("content", ["[]", "{", '{"weight_map": 3}'])
def test_a_damaged_index_is_one_clear_error(content: str, model: Path) -> None:
    in_one_shard(model)
    (model / "model.safetensors.index.json").write_text(content)
    assert "model.safetensors.index.json cannot be read" in refusal(model)
