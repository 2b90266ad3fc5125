from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.errors import ModelError

from .families import LAYERS, VOCABULARY, WIDTH, save_model


@pytest.fixture
def directory(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    return save_model("llama", tmp_path / "model", tokenizer)


def refusal(reference: str | Path, device: str = "auto", dtype: str = "auto") -> ModelError:
    with pytest.raises(ModelError) as caught:
        open_model(str(reference), device=device, dtype=dtype)
    assert caught.value.suggestion
    return caught.value


def test_a_model_says_what_it_is(gpt2: LanguageModel) -> None:
    assert (gpt2.num_layers, gpt2.d_model, gpt2.vocab_size) == (LAYERS, WIDTH, VOCABULARY)
    assert gpt2.max_context == 64
    assert gpt2.can_predict
    assert gpt2.special_ids == (0,)
    assert gpt2.separator_id == 0
    assert gpt2.dtype == torch.float32
    assert gpt2.hook_points() == list(HookPoint)


def test_a_model_is_opened_in_the_dtype_asked_for(directory: Path) -> None:
    assert open_model(str(directory), device="cpu", dtype="bfloat16").dtype == torch.bfloat16


def test_nothing_in_an_opened_model_can_be_trained(gpt2: LanguageModel) -> None:
    assert not gpt2.network.training
    assert not any(parameter.requires_grad for parameter in gpt2.network.parameters())


def test_an_encoder_is_read_but_does_not_predict(family: Callable[[str], LanguageModel]) -> None:
    assert not family("bert").can_predict


def test_a_layer_that_the_model_has_not_is_refused(gpt2: LanguageModel) -> None:
    with pytest.raises(ModelError, match=f"no layer {LAYERS}"):
        gpt2.locate(Site(LAYERS, HookPoint.RESID_POST))


def test_a_context_longer_than_the_model_reads_is_refused(gpt2: LanguageModel) -> None:
    gpt2.check_reads(64, VOCABULARY - 1)
    with pytest.raises(ModelError, match="at most 64 tokens"):
        gpt2.check_reads(65)
    with pytest.raises(ModelError, match=f"knows {VOCABULARY} tokens"):
        gpt2.check_reads(64, VOCABULARY)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere").message


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    assert "is empty" in refusal(tmp_path).message


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    assert "is a file" in refusal(tmp_path / "model").message


def test_a_directory_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "no config.json" in refusal(tmp_path).message


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\0\1", '{"model_type": 3}'])
def test_a_damaged_configuration_is_refused(directory: Path, content: str) -> None:
    (directory / "config.json").write_text(content)
    assert "config.json" in refusal(directory).message


def test_a_configuration_with_nonsense_in_it_is_refused(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"num_attention_heads": "many"}))
    assert str(directory) in refusal(directory).message


def test_an_unknown_kind_of_model_is_refused(directory: Path) -> None:
    (directory / "config.json").write_text('{"model_type": "unheard_of"}')
    assert "unheard_of" in refusal(directory).message


def test_a_model_without_weights_is_refused(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    assert "no weights" in refusal(directory).message


def test_pickled_weights_are_refused(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    error = refusal(directory)
    assert "pytorch_model.bin" in error.message
    assert "safetensors" in str(error.suggestion)


def test_weights_cut_short_are_refused(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "cannot be loaded" in refusal(directory).message


def test_a_model_that_lacks_tensors_is_refused_rather_than_filled_with_random_ones(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    assert "model.layers.1.mlp.up_proj.weight" in refusal(directory).message


def test_a_model_without_a_tokenizer_is_refused(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    assert "tokenizer" in refusal(directory).message


def test_a_hub_id_that_is_not_in_the_cache_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "local Hugging Face cache" in refusal("nobody/nothing-of-the-kind").message


@pytest.mark.parametrize("reference", ["", "not a name", "bundled:huge"])
def test_what_is_no_name_of_a_model_is_refused(reference: str) -> None:
    assert repr(reference) in refusal(reference).message


def test_a_device_or_dtype_that_is_not_one_is_refused(directory: Path) -> None:
    assert "toaster" in refusal(directory, device="toaster").message
    assert "float7" in refusal(directory, device="cpu", dtype="float7").message
