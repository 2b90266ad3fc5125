"""A model opened up to a layer is the whole model up to there, and nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.errors import ModelError

from .conftest import SmallModels
from .families import MAKERS, VOCABULARY, save_model

TOKENS = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))
LAST = 1
SITES = [Site(layer, point) for layer in range(LAST + 1) for point in HookPoint]


def opened(directory: Path, last_layer: int | None = LAST, dtype: str = "auto") -> LanguageModel:
    return open_model(str(directory), device="cpu", dtype=dtype, last_layer=last_layer)


@pytest.mark.parametrize("name", MAKERS)
def test_it_gives_the_activations_of_the_whole_model_bit_for_bit(
    name: str, family: Callable[[str], LanguageModel]
) -> None:
    whole = family(name)
    part = opened(whole.directory)
    assert (len(part.layers), part.num_layers) == (LAST + 1, whole.num_layers)
    expected = ActivationExtractor(whole, SITES)(TOKENS).values
    found = ActivationExtractor(part, SITES)(TOKENS).values
    assert all(torch.equal(found[site.name], expected[site.name]) for site in SITES)
    assert part.fingerprint(LAST) == whole.fingerprint(LAST)


def test_neither_head_nor_later_layers_are_there(family: Callable[[str], LanguageModel]) -> None:
    whole = family("llama")
    part = opened(whole.directory)
    assert not part.is_whole
    assert not part.can_predict
    assert part.network.lm_head is None
    layer = sum(parameter.numel() for parameter in whole.layers[2].parameters())
    head = whole.network.get_submodule("lm_head").weight
    assert isinstance(head, torch.Tensor)
    assert part.network.num_parameters() == whole.network.num_parameters() - layer - head.numel()


@pytest.fixture
def sharded(family: Callable[[str], LanguageModel], tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A model of which every file holds few tensors, as large ones are published."""
    network = AutoModelForCausalLM.from_pretrained(family("llama").directory)
    network.save_pretrained(tmp_path / "sharded", max_shard_size="8KB")
    tokenizer.save_pretrained(tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 3
    return tmp_path / "sharded"


def test_shards_are_read_as_one_file_is(sharded: Path, family: Callable[[str], LanguageModel]) -> None:
    found = ActivationExtractor(opened(sharded), SITES)(TOKENS).values
    expected = ActivationExtractor(family("llama"), SITES)(TOKENS).values
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_later_tensors_are_not_needed(sharded: Path) -> None:
    """What was cut out of the files cannot have been read from them."""
    before = opened(sharded).fingerprint(LAST)
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    cut = [name for name in index["weight_map"] if "layers.2." in name or "lm_head" in name]
    for file in sorted({index["weight_map"].pop(name) for name in cut}):
        with safe_open(sharded / file, "pt") as shard:
            kept = {name: shard.get_tensor(name) for name, place in index["weight_map"].items() if place == file}
        save_file(kept, sharded / file, metadata={"format": "pt"})
    (sharded / "model.safetensors.index.json").write_text(json.dumps(index))
    assert opened(sharded).fingerprint(LAST) == before
    with pytest.raises(ModelError, match="lack"):
        opened(sharded, last_layer=None)


def test_the_fingerprint_follows_the_weights_up_to_its_layer(
    family: Callable[[str], LanguageModel], tmp_path: Path
) -> None:
    source = family("llama").directory
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    before = [opened(source, None).fingerprint(layer) for layer in range(3)]
    assert len(set(before)) == 3
    weights = load_file(copy / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][0] += 1
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    after = [opened(copy, None).fingerprint(layer) for layer in range(3)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, False]


def test_the_fingerprint_follows_the_configuration_and_the_dtype(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    directory = save_model("llama", tmp_path, tokenizer)
    before = opened(directory).fingerprint(LAST)
    assert opened(directory, dtype="bfloat16").fingerprint(LAST) != before
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.01}))
    assert opened(directory).fingerprint(LAST) != before


def test_the_fingerprint_of_a_text_model_is_not_that_of_its_tower_for_images(
    small: SmallModels, tmp_path: Path
) -> None:
    shutil.copytree(small("llava").directory, tmp_path / "copy")
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    tower = next(name for name in weights if "vision_tower" in name and name.endswith("mlp.fc1.weight"))
    text = next(name for name in weights if "language_model" in name and name.endswith("layers.1.mlp.up_proj.weight"))
    found = [small("llava").fingerprint(LAST)]
    for name in (tower, text):
        weights[name][0] += 1
        save_file(weights, tmp_path / "copy" / "model.safetensors", metadata={"format": "pt"})
        found.append(opened(tmp_path / "copy").fingerprint(LAST))
    assert found[0] == found[1] != found[2]


def test_a_fingerprint_of_before_is_not_taken_for_one_of_now() -> None:
    """Before, it covered no number of layers, and sites with a factor were read without: so their caches have other keys."""
    model = open_model("bundled:tiny", device="cpu", last_layer=0)
    left_out = {"num_hidden_layers", "n_layer", "layer_types", "_name_or_path", "transformers_version"}
    left_out |= {"architectures", "dtype", "torch_dtype"}
    settings = {key: value for key, value in model.network.config.to_dict().items() if key not in left_out}
    digest = json.dumps(settings, sort_keys=True, default=str).encode()
    body = model.network.base_model.state_dict()
    for inside in (False, True):
        state = {name: value for name, value in body.items() if name.startswith("h.") == inside}
        layer = {name.removeprefix("h.0."): value for name, value in state.items()}
        hashed = hashlib.blake2b(digest, digest_size=16)
        for name, tensor in sorted(layer.items()):
            hashed.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            hashed.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        digest = hashed.digest()
    assert model.fingerprint(0) != digest.hex()


def test_the_number_of_layers_is_part_of_the_fingerprint(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """MiniCPM3, for one, adds its contributions with a factor that is made of it."""
    directory = save_model("llama", tmp_path, tokenizer)
    before = opened(directory).fingerprint(LAST)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    assert opened(directory).fingerprint(LAST) != before


def test_only_the_layers_that_are_read_and_the_embedding_take_memory(small: SmallModels) -> None:
    whole = small("minicpm3")
    part = opened(whole.directory, 0)
    kept = sum(parameter.nbytes for parameter in part.network.parameters())
    gone = sum(parameter.nbytes for layer in whole.layers[1:] for parameter in layer.parameters())
    head = whole.network.get_submodule("lm_head").weight
    assert isinstance(head, torch.Tensor)
    shared = head is whole.network.get_input_embeddings().weight
    assert kept == sum(parameter.nbytes for parameter in whole.network.parameters()) - gone - (
        0 if shared else head.nbytes
    )
    assert not any(tensor.is_meta for tensor in (*part.network.parameters(), *part.network.buffers()))


@pytest.mark.parametrize("name", ["llama", "gemma3", "neox"])
def test_buffers_that_no_file_holds_are_those_of_the_whole_model(
    name: str, family: Callable[[str], LanguageModel]
) -> None:
    whole = family(name)
    found = dict(opened(whole.directory).network.named_buffers())
    expected = {key: value for key, value in whole.network.named_buffers() if key in found}
    assert found
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_a_checkpoint_in_half_precision_is_read_in_the_dtype_asked_for(
    dtype: str, family: Callable[[str], LanguageModel], tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    network = AutoModelForCausalLM.from_pretrained(family("llama").directory)
    module: nn.Module = network
    module.to(torch.bfloat16)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    part = opened(tmp_path, dtype=dtype)
    assert str(part.dtype) == f"torch.{dtype}"
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(part.network.get_parameter(name), network.get_parameter(name).to(part.dtype))


def test_a_last_layer_that_the_model_has_not_is_refused(family: Callable[[str], LanguageModel]) -> None:
    with pytest.raises(ModelError, match="no layer 3: it has 3"):
        opened(family("gpt2").directory, last_layer=3)


def test_a_site_behind_the_last_layer_is_refused_with_the_reason(family: Callable[[str], LanguageModel]) -> None:
    with pytest.raises(ModelError, match="opened up to layer 1"):
        opened(family("gpt2").directory).locate(Site(2, HookPoint.RESID_POST))
