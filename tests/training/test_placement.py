"""A foreign SAE is judged on the tensor that its tool trained it on, and what it gives is put back as that tool would; or it
is refused with the reason."""

from __future__ import annotations

import json
import json.decoder
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    Olmo2Config,
    PretrainedConfig,
    PreTrainedModel,
)

from saetui.activations import ActivationExtractor, HookPoint, LanguageModel, Site, Splice, cross_entropy, open_model
from saetui.bundled import TINY
from saetui.errors import InvalidInput, ModelError
from saetui.home import Home
from saetui.training.finished import FinishedSAE, open_finished
from saetui.training.setup import refuse_factors
from saetui.training.tasks.convert import import_sae
from saetui.training.tasks.evaluate import judge

D = 32
TOKENS = torch.arange(5, 53).reshape(2, 24)
SIZES: dict[str, Any] = {"hidden_size": D, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
CONFIGS: dict[str, Callable[[int], PretrainedConfig]] = {
    "gpt2": lambda words: GPT2Config(vocab_size=words, n_embd=D, n_layer=2, n_head=2, n_positions=32),
    "llama": lambda words: LlamaConfig(vocab_size=words, num_key_value_heads=2, head_dim=16, **SIZES),
    # Multiplies by 1 + w, and has norms behind its parts.
    "gemma2": lambda words: Gemma2Config(vocab_size=words, num_key_value_heads=2, head_dim=16, **SIZES),
    # The attention beside the MLP.
    "gpt_neox": lambda words: GPTNeoXConfig(vocab_size=words, max_position_embeddings=32, **SIZES),
    # Multiplies what its parts give before it adds it.
    "granite": lambda words: GraniteConfig(
        vocab_size=words, num_key_value_heads=2, residual_multiplier=0.22, attention_multiplier=0.25, **SIZES
    ),
    # No norm before the MLP.
    "olmo2": lambda words: Olmo2Config(vocab_size=words, **SIZES),
}
NORMS = {
    "gpt2": "ln_2", "llama": "post_attention_layernorm", "gemma2": "pre_feedforward_layernorm",
    "gpt_neox": "post_attention_layernorm",
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("SAETUI_HOME", str(Home(tmp_path / "home").root))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, LanguageModel]:
    """Small random models whose norms have weights and biases that are no ones and zeros."""
    root = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    torch.manual_seed(0)
    for name, config in CONFIGS.items():
        network: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            config(len(tokenizer))
        )
        module: nn.Module = network
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_((0.3 if parameter.ndim == 1 else 0.1) * torch.randn_like(parameter))
        network.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: open_model(str(root / name), device="cpu") for name in CONFIGS}


def identity(directory: Path, d: int = D, **metadata: Any) -> Path:
    """An SAE of SAELens's that gives back whatever it reads."""
    directory.mkdir()
    eye = torch.eye(d)
    weights = {"W_enc": torch.cat([eye, -eye], 1), "W_dec": torch.cat([eye, -eye]), "b_enc": torch.zeros(2 * d)}
    save_file({**weights, "b_dec": torch.zeros(d)}, directory / "sae_weights.safetensors")
    config = {"architecture": "standard", "d_in": d, "d_sae": 2 * d, "apply_b_dec_to_input": True}
    facts = {"sae_lens_version": "6.54.12", "dataset_path": "bundled:stdlib", "context_size": 24}
    (directory / "cfg.json").write_text(json.dumps({**config, "metadata": {**facts, **metadata}}))
    return directory


def opened(directory: Path, model: LanguageModel) -> FinishedSAE:
    return open_finished(directory, model.device, model.d_model, None, None, model)


def rows_at(model: LanguageModel, *sites: Site) -> dict[str, Tensor]:
    found = ActivationExtractor(model, sites)(TOKENS)
    return {site.name: found.values[site.name][found.keep] for site in sites}


def norm_s_input(model: LanguageModel, name: str) -> Tensor:
    """What enters a norm of layer 1."""
    seen: list[Tensor] = []
    norm = model.layers[1].get_submodule(name)
    handle = norm.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].detach()))
    with torch.no_grad():
        model.network(input_ids=TOKENS)
    handle.remove()
    return seen[0][:, 1:].reshape(-1, D)


MLP_IN = Site(1, HookPoint.MLP_IN)


@pytest.mark.parametrize("family", NORMS)
def test_a_norm_s_hook_is_read_before_the_norm_s_weight_and_bias(
    family: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model = models[family]
    sae = opened(identity(tmp_path / "sae", hook_name="blocks.1.ln2.hook_normalized"), model)
    rows = rows_at(model, MLP_IN)
    target, *_ = sae.measure(rows)
    stream = norm_s_input(model, NORMS[family])
    if family in ("gpt2", "gpt_neox"):
        stream = stream - stream.mean(-1, keepdim=True)
    epsilon = 1e-6 if family in ("llama", "gemma2") else 1e-5
    wanted = stream / (stream.square().mean(-1, keepdim=True) + epsilon).sqrt()
    assert float((target - wanted).norm() / wanted.norm()) <= 1e-5
    assert float((rows[MLP_IN.name] - wanted).norm() / wanted.norm()) > 0.1
    # In its place in the model it changes nothing: weight and bias are put back.
    assert sae.splice.function is not None
    assert torch.allclose(sae.splice.function(rows[MLP_IN.name]), rows[MLP_IN.name], atol=1e-4)


def test_without_a_norm_before_the_mlp_its_hook_is_refused(models: Mapping[str, LanguageModel], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no norm of layer 1 gives the input of its MLP"):
        opened(identity(tmp_path / "sae", hook_name="blocks.1.ln2.hook_normalized"), models["olmo2"])


def test_a_weight_of_0_is_refused(models: Mapping[str, LanguageModel], tmp_path: Path) -> None:
    model = models["llama"]
    weight = model.layers[1].get_parameter("post_attention_layernorm.weight")
    before = weight.clone()
    weight[7] = 0.0
    try:
        with pytest.raises(InvalidInput, match="coordinate 7"):
            opened(identity(tmp_path / "sae", hook_name="blocks.1.ln2.hook_normalized"), model)
    finally:
        weight.copy_(before)


def test_what_saetui_itself_once_called_by_that_hook_is_what_enters_the_mlp(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model = models["gpt2"]
    sae = opened(identity(tmp_path / "sae", hook_name="blocks.1.ln2.hook_normalized", saetui={}), model)
    rows = rows_at(model, MLP_IN)
    assert torch.equal(sae.measure(rows)[0], rows[MLP_IN.name])


def test_folded_norms_are_followed_where_they_change_the_tensor(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model, folded = models["gpt2"], {"fold_ln": True}
    mlp = opened(identity(tmp_path / "a", hook_name="blocks.1.mlp.hook_in", model_from_pretrained_kwargs=folded), model)
    hook = opened(identity(tmp_path / "b", hook_name="blocks.1.ln2.hook_normalized"), model)
    rows = rows_at(model, MLP_IN)
    assert torch.equal(mlp.measure(rows)[0], hook.measure(rows)[0])
    resid = identity(tmp_path / "c", hook_name="blocks.1.hook_resid_post", model_from_pretrained_kwargs=folded)
    rows = rows_at(model, Site(1, HookPoint.RESID_POST))
    assert torch.equal(opened(resid, model).measure(rows)[0], rows["layer_1.resid_post"])


CENTRED = {"center_writing_weights": True}


@pytest.mark.parametrize("hook", ["hook_resid_pre", "hook_resid_post", "hook_mlp_out", "hook_attn_out"])
def test_centred_weights_are_followed_and_the_mean_is_put_back(
    hook: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model = models["gpt2"]
    made = identity(tmp_path / "sae", hook_name=f"blocks.1.{hook}", model_from_pretrained_kwargs=CENTRED)
    sae = opened(made, model)
    raw = rows_at(model, sae.pair.source)[sae.pair.name]
    target, *_ = sae.measure({sae.pair.name: raw})
    assert torch.allclose(target, raw - raw.mean(1, keepdim=True), atol=1e-6)
    assert sae.splice.function is not None and torch.allclose(sae.splice.function(raw), raw, atol=1e-5)
    assert abs(cross_entropy(model, TOKENS, [sae.splice]).mean - cross_entropy(model, TOKENS).mean) <= 1e-4


def test_where_norms_see_the_mean_it_is_left_alone_as_transformer_lens_does(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model = models["llama"]
    made = identity(tmp_path / "sae", hook_name="blocks.1.hook_resid_post", model_from_pretrained_kwargs=CENTRED)
    raw = rows_at(model, Site(1, HookPoint.RESID_POST))
    assert torch.equal(opened(made, model).measure(raw)[0], raw["layer_1.resid_post"])


def test_an_sae_that_is_exact_on_centred_activations_is_judged_so(tmp_path: Path) -> None:
    """GPT-2's most used SAEs: without the centring their FVU is .5, without a word."""
    model = tmp_path / "gpt2"
    model.mkdir()
    for file in TINY.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    weights = load_file(model / "model.safetensors")
    key = next(name for name in weights if name.endswith("h.0.mlp.c_proj.bias"))
    weights[key] = weights[key] + 1.0
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "text.txt").write_text(Path(json.decoder.__file__).read_text())
    facts = {
        "model_name": str(model),
        "hook_name": "blocks.1.hook_resid_post",
        "dataset_path": str(tmp_path / "text.txt"),
    }
    made = identity(tmp_path / "sae", 128, model_from_pretrained_kwargs=CENTRED, **facts)
    tensors = load_file(made / "sae_weights.safetensors")
    away = torch.eye(128) - 1 / 128
    tensors["W_enc"] = torch.cat([away, -away], 1).contiguous()
    save_file(tensors, made / "sae_weights.safetensors")
    request = {"directories": {"it": str(made)}, "tokens": 256, "device": "cpu"}
    values = judged(request)
    assert values["fvu"] <= 1e-6 and values["ce_sae"] == pytest.approx(values["ce_clean"], abs=1e-4)
    assert values["notes"] == []
    forgotten = identity(tmp_path / "other", 128, **facts)
    save_file(tensors, forgotten / "sae_weights.safetensors")
    assert judged({**request, "directories": {"it": str(forgotten)}})["fvu"] > 0.1


def judged(request: dict[str, Any]) -> dict[str, Any]:
    sites = judge(request)["sites"]
    assert isinstance(sites, dict)
    values = sites["it"]
    assert isinstance(values, dict)
    return values


def test_a_configuration_that_may_have_been_centred_is_told_of(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    made = identity(tmp_path / "old", hook_name="blocks.1.hook_resid_post")
    config = json.loads((made / "cfg.json").read_text())
    del config["metadata"]["sae_lens_version"]
    (made / "cfg.json").write_text(json.dumps(config))
    assert "center_writing_weights" in opened(made, models["gpt2"]).placed.notes[0]
    # An old configuration has its fields at the top.
    old = {**config, **config.pop("metadata"), "model_from_pretrained_kwargs": CENTRED}
    (made / "cfg.json").write_text(json.dumps(old))
    placed = opened(made, models["gpt2"]).placed
    assert placed.source.centred and placed.notes == ()


def test_what_is_made_of_a_model_s_activations_needs_the_model(tmp_path: Path) -> None:
    made = identity(tmp_path / "sae", hook_name="blocks.1.hook_resid_post", model_from_pretrained_kwargs=CENTRED)
    with pytest.raises(InvalidInput, match="made of its model's activations"):
        open_finished(made, torch.device("cpu"), D, None, None)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"model_from_pretrained_kwargs": {"checkpoint_value": 3000}}, "checkpoint_value"),
        ({"seqpos_slice": [5, 10]}, "seqpos_slice"),
        ({"hook_name": "blocks.1.hook_mlp_in"}, "not the MLP's input"),
        ({"hook_name": "blocks.1.hook_resid_mid"}, "between attention and MLP"),
    ],
)
def test_what_is_not_followed_is_refused_by_name(
    metadata: dict[str, Any], words: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    facts = {"hook_name": "blocks.1.hook_resid_post", **metadata}
    with pytest.raises(InvalidInput, match=words) as refused:
        opened(identity(tmp_path / "sae", **facts), models["gpt2"])
    assert refused.value.suggestion


@pytest.mark.parametrize(
    ("family", "name", "site"),
    [
        ("gpt2", "transformer.h.1.mlp", "layer_1.mlp_out"),
        ("gpt2", "blocks.1.mlp.hook_out", "layer_1.mlp_out"),
        ("gpt2", "blocks.1.attn.hook_out", "layer_1.attn_out"),
        ("llama", "layers.1.self_attn", "layer_1.attn_out"),
        ("gemma2", "model.layers.1.pre_feedforward_layernorm.output", "layer_1.mlp_in"),
        ("gemma2", "model.layers.1.post_feedforward_layernorm.output", "layer_1.mlp_out"),
        ("gpt_neox", "gpt_neox.layers.1.mlp.input", "layer_1.mlp_in"),
    ],
)
def test_a_module_s_name_is_the_site_that_it_is_in_this_family(
    family: str, name: str, site: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    assert opened(identity(tmp_path / "sae", hook_name=name), models[family]).pair.name == site


@pytest.mark.parametrize(
    ("family", "name"),
    [
        # Before the norm behind the part: not what is added to the stream.
        ("gemma2", "layers.1.mlp"),
        ("gemma2", "blocks.1.mlp.hook_out"),
        ("gemma2", "blocks.1.attn.hook_out"),
        # The norm behind the attention here, the one before the MLP elsewhere.
        ("gemma2", "model.layers.1.post_attention_layernorm"),
    ],
)
def test_a_module_that_is_another_tensor_in_this_family_is_refused(
    family: str, name: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="another tensor"):
        opened(identity(tmp_path / "sae", hook_name=name), models[family])


def transcoder(directory: Path, d: int, **metadata: Any) -> Path:
    made = identity(directory, d, **metadata)
    config = json.loads((made / "cfg.json").read_text())
    config |= {"architecture": "transcoder", "d_out": d, "apply_b_dec_to_input": False}
    (made / "cfg.json").write_text(json.dumps(config))
    return made


def test_what_saelens_calls_gemma_scope_2_s_input_is_what_the_module_s_name_says(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    facts = {"hook_name": "blocks.1.hook_mlp_in", "hf_hook_name": "model.layers.1.pre_feedforward_layernorm.output"}
    assert opened(transcoder(tmp_path / "sae", D, **facts), models["gemma2"]).pair.name == "layer_1.mlp_in"


def test_a_transcoder_that_predicts_something_else_is_refused(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    facts = {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_resid_post"}
    with pytest.raises(InvalidInput, match="hook_resid_post"):
        opened(transcoder(tmp_path / "sae", D, **facts), models["gpt2"])
    across = transcoder(tmp_path / "across", D, **{**facts, "hook_name_out": "blocks.0.hook_mlp_out"})
    with pytest.raises(InvalidInput, match="the layer they read"):
        opened(across, models["gpt2"])
    # The MLP's own output is what it adds to the stream, unless there is a norm behind it.
    own = transcoder(tmp_path / "own", D, **{**facts, "hook_name_out": "blocks.1.mlp.hook_out"})
    assert opened(own, models["gpt2"]).pair.target.name == "layer_1.mlp_out"
    with pytest.raises(InvalidInput, match="another tensor"):
        opened(own, models["gemma2"])


def test_a_transcoder_of_a_norm_s_hook_reads_that_and_predicts_the_mlp(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    """With identities for weights it gives back what it read: ŷ is the norm's output before its weight and bias."""
    model = models["llama"]
    facts = {"hook_name": "blocks.1.ln2.hook_normalized", "hook_name_out": "blocks.1.hook_mlp_out"}
    sae = opened(transcoder(tmp_path / "sae", D, **facts), model)
    rows = rows_at(model, MLP_IN, Site(1, HookPoint.MLP_OUT))
    stream = norm_s_input(model, NORMS["llama"])
    wanted = stream / (stream.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    splice: Splice = sae.splice
    assert splice.function is not None and splice.source == MLP_IN
    assert torch.allclose(splice.function(rows[MLP_IN.name]), wanted, atol=1e-4)
    assert torch.equal(sae.measure(rows)[0], rows["layer_1.mlp_out"])


@pytest.mark.parametrize(
    ("folder", "transcodes", "site"),
    [
        ("layers.1", False, "layer_1.resid_post"),
        ("h.1.mlp", True, "layer_1.mlp_in"),
        ("h.1.mlp", False, "layer_1.mlp_out"),
    ],
)
def test_a_folder_of_sparsify_s_says_its_site_and_an_import_keeps_it(
    folder: str, transcodes: bool, site: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    made = tmp_path / folder
    made.mkdir()
    tensors = {
        "encoder.weight": torch.eye(D),
        "encoder.bias": torch.zeros(D),
        "W_dec": torch.eye(D),
        "b_dec": torch.zeros(D),
    }
    save_file(tensors, made / "sae.safetensors")
    config = {"expansion_factor": 1, "normalize_decoder": True, "num_latents": 0, "k": 4, "d_in": D}
    (made / "cfg.json").write_text(json.dumps({**config, "transcode": transcodes}))
    (tmp_path / "imported").mkdir()
    assert import_sae(made, tmp_path / "imported", "mine")["hook_name"] == folder
    model = models["gpt2"]
    assert opened(made, model).pair.name == opened(tmp_path / "imported" / "mine", model).pair.name == site


def test_a_transcoder_of_sparsify_s_is_not_taken_for_one_of_the_contribution(
    models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    made = transcoder(tmp_path / "sae", D, hook_name="layers.1.mlp")
    with pytest.raises(InvalidInput, match="another tensor"):
        opened(made, models["gemma2"])


@pytest.mark.parametrize("point", ["attn_out", "mlp_out"])
def test_an_output_that_the_layer_multiplies_is_read_before_the_factor_as_other_tools_do(
    point: str, models: Mapping[str, LanguageModel], tmp_path: Path
) -> None:
    model, site = models["granite"], Site(1, HookPoint(point))
    location = model.locate(site)
    assert location.factor == pytest.approx(0.22)
    seen: list[Tensor] = []

    def see(module: nn.Module, arguments: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).detach().reshape(-1, D))

    handle = model.network.get_submodule(location.module_name).register_forward_hook(see)
    rows = rows_at(model, site)
    handle.remove()
    sae = opened(identity(tmp_path / "sae", hook_name=f"blocks.1.hook_{point}"), model)
    target, *_ = sae.measure(rows)
    assert any(torch.isclose(target[0], output, atol=1e-6).all(1).any() for output in seen)
    assert torch.allclose(target * 0.22, rows[site.name], atol=1e-6)
    assert sae.splice.function is not None and torch.allclose(
        sae.splice.function(rows[site.name]), rows[site.name], atol=1e-6
    )
    assert cross_entropy(model, TOKENS, [sae.splice]).mean == pytest.approx(cross_entropy(model, TOKENS).mean, abs=1e-5)


def test_an_sae_to_start_from_is_refused_where_the_layer_multiplies_what_it_reads(
    models: Mapping[str, LanguageModel],
) -> None:
    refuse_factors(models["granite"], [Site(1, HookPoint.RESID_POST)])
    refuse_factors(models["llama"], [Site(1, HookPoint.MLP_OUT)])
    with pytest.raises(InvalidInput, match=r"start_from: .* multiplies layer_1\.mlp_out by 0\.22"):
        refuse_factors(models["granite"], [Site(1, HookPoint.MLP_OUT)])
