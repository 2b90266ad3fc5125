from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    MambaConfig,
    MambaForCausalLM,
    MptConfig,
    MptForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    XLNetConfig,
    XLNetLMHeadModel,
)

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel, open_model
from saetui.activations.sites import HookPoint, Site
from saetui.catalog.models import find_model
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
    assert gpt2.hook_points(0) == list(HookPoint)


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
    gpt2.require_reads(64, VOCABULARY - 1)
    with pytest.raises(ModelError, match="at most 64 tokens"):
        gpt2.require_reads(65)
    with pytest.raises(ModelError, match=f"knows {VOCABULARY} tokens"):
        gpt2.require_reads(64, VOCABULARY)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert "no model directory" in refusal(tmp_path / "nowhere").message


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
    assert "local Hub cache" in refusal("nobody/nothing-of-the-kind").message


@pytest.mark.parametrize("reference", ["", "not a name", "bundled:huge"])
def test_what_is_no_name_of_a_model_is_refused(reference: str) -> None:
    assert repr(reference) in refusal(reference).message


def test_a_device_or_dtype_that_is_not_one_is_refused(directory: Path) -> None:
    assert "toaster" in refusal(directory, device="toaster").message
    assert "float7" in refusal(directory, device="cpu", dtype="float7").message


def test_a_tensor_of_another_shape_is_refused_by_its_name(directory: Path) -> None:
    weights = load_file(directory / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name] = weights[name][:-1].contiguous()
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    message = refusal(directory).message
    assert name in message
    assert str(tuple(weights[name].shape)) in message


def test_quantised_weights_are_refused(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq"}}))
    assert "quantised (gptq)" in refusal(directory).message


def test_a_model_with_code_of_its_own_is_refused_and_the_code_not_run(directory: Path) -> None:
    config = json.loads((directory / "config.json").read_text())
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.Own"}}
    (directory / "config.json").write_text(json.dumps(config | own))
    (directory / "own.py").write_text(f"open({str(directory / 'ran')!r}, 'w')")
    error = refusal(directory)
    assert "code of its own" in error.message
    assert "trust_remote_code" not in f"{error.message} {error.suggestion}"
    assert not (directory / "ran").exists()


def saved(model: PreTrainedModel, directory: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_positions_that_begin_behind_the_padding_are_not_part_of_the_context(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = RobertaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=34, pad_token_id=1, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    directory = saved(RobertaForMaskedLM(config), tmp_path / "roberta", tokenizer)
    model = open_model(str(directory), device="cpu", last_layer=0)
    assert model.max_context == find_model(str(directory)).context_limit == 32
    ActivationExtractor(model, [Site(0, HookPoint.RESID_POST)])(torch.full((1, 32), 5))


def test_a_family_s_own_name_of_its_longest_context_is_known(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = MptConfig(vocab_size=VOCABULARY, max_seq_len=24, d_model=16, n_heads=2, n_layers=1)
    directory = saved(MptForCausalLM(config), tmp_path / "mpt", tokenizer)
    assert open_model(str(directory), device="cpu", last_layer=0).max_context == 24
    assert find_model(str(directory)).context_limit == 24


def test_a_family_that_makes_its_kinds_of_layers_anew_is_opened_up_to_a_layer(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=3, state_size=4)
    directory = saved(MambaForCausalLM(config), tmp_path / "mamba", tokenizer)
    short, whole = (open_model(str(directory), device="cpu", last_layer=last) for last in (1, None))
    assert len(short.layers) == 2
    read = [ActivationExtractor(model, [Site(1, HookPoint.RESID_POST)]) for model in (short, whole)]
    tokens = torch.arange(10)[None]
    first, second = (extractor(tokens).values["layer_1.resid_post"] for extractor in read)
    assert torch.equal(first, second)


def test_activations_in_another_order_than_the_tokens_are_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = XLNetConfig(vocab_size=VOCABULARY, d_model=16, n_layer=2, n_head=2, d_inner=16)
    directory = saved(XLNetLMHeadModel(config), tmp_path / "xlnet", tokenizer)
    model = open_model(str(directory), device="cpu", last_layer=1)
    with pytest.raises(ModelError, match=r"shape \(8, 2, 16\) for tokens of shape \(2, 8\)"):
        ActivationExtractor(model, [Site(0, HookPoint.RESID_POST)])(torch.arange(16).reshape(2, 8))
