"""In each family the sites are the tensors that their names say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import GPT2Config, T5Config, T5ForConditionalGeneration, XLMConfig, XLMModel
from transformers.models.gpt2.modeling_gpt2 import GPT2Model

from saetui.activations.extraction import ActivationExtractor
from saetui.activations.models import LanguageModel
from saetui.activations.sites import HookPoint, Site
from saetui.activations.structure import find_layers
from saetui.errors import ModelError

from .conftest import SmallModels
from .families import LAYERS, MAKERS, VOCABULARY, WIDTH

TOKENS = torch.randint(1, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(0))

EVERYWHERE = [Site(layer, point) for layer in range(LAYERS) for point in HookPoint]


@pytest.mark.parametrize("name", MAKERS)
def test_the_residual_stream_is_the_models_own_hidden_states_bit_for_bit(
    name: str, family: Callable[[str], LanguageModel]
) -> None:
    model = family(name)
    values = ActivationExtractor(model, EVERYWHERE)(TOKENS).values
    with torch.no_grad():
        hidden = model.network(TOKENS, output_hidden_states=True).hidden_states
    assert len(hidden) == LAYERS + 1
    for layer in range(LAYERS):
        assert torch.equal(values[f"layer_{layer}.resid_pre"], hidden[layer])
        # The last of the model's hidden states lies behind the final norm, not behind the last layer.
        if layer + 1 < LAYERS:
            assert torch.equal(values[f"layer_{layer}.resid_post"], hidden[layer + 1])
            assert torch.equal(values[f"layer_{layer}.resid_post"], values[f"layer_{layer + 1}.resid_pre"])


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "bert"])
def test_attention_and_mlp_contribute_what_a_layer_adds_to_the_stream(
    name: str, family: Callable[[str], LanguageModel]
) -> None:
    values = ActivationExtractor(family(name), EVERYWHERE)(TOKENS).values
    for layer in range(LAYERS):
        added = values[f"layer_{layer}.resid_post"] - values[f"layer_{layer}.resid_pre"]
        parts = values[f"layer_{layer}.attn_out"] + values[f"layer_{layer}.mlp_out"]
        torch.testing.assert_close(added, parts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "neox", "llama", "phi"])
def test_the_mlp_makes_mlp_out_of_mlp_in(name: str, family: Callable[[str], LanguageModel]) -> None:
    model = family(name)
    values = ActivationExtractor(model, EVERYWHERE)(TOKENS).values
    mlp = model.layers[1].get_submodule("mlp")
    with torch.no_grad():
        assert torch.equal(mlp(values["layer_1.mlp_in"]), values["layer_1.mlp_out"])


def test_bert_norms_the_sum_of_the_stream_and_what_its_parts_contribute(family: Callable[[str], LanguageModel]) -> None:
    model = family("bert")
    values = ActivationExtractor(model, EVERYWHERE)(TOKENS).values
    with torch.no_grad():
        first_norm = model.layers[1].get_submodule("attention.output.LayerNorm")
        between = first_norm(values["layer_1.attn_out"] + values["layer_1.resid_pre"])
        assert torch.equal(between, values["layer_1.mlp_in"])
        last_norm = model.layers[1].get_submodule("output.LayerNorm")
        assert torch.equal(last_norm(values["layer_1.mlp_out"] + between), values["layer_1.resid_post"])


def test_the_module_of_a_site_is_named_as_hugging_face_names_it(family: Callable[[str], LanguageModel]) -> None:
    def places(name: str) -> list[tuple[str, str]]:
        located = [family(name).locate(Site(2, point)) for point in HookPoint]
        return [(location.module_name, location.side) for location in located]

    assert places("gpt2") == [
        ("transformer.h.2", "input"),
        ("transformer.h.2", "output"),
        ("transformer.h.2.mlp", "input"),
        ("transformer.h.2.mlp", "output"),
        ("transformer.h.2.attn", "output"),
    ]
    assert places("llama")[1] == ("model.layers.2", "output")
    assert places("opt")[2:4] == [("model.decoder.layers.2.fc1", "input"), ("model.decoder.layers.2.fc2", "output")]
    assert places("gemma2")[4] == ("model.layers.2.post_attention_layernorm", "output")


def test_a_model_with_encoder_and_decoder_is_refused() -> None:
    config = T5Config(vocab_size=32, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2)
    with pytest.raises(ModelError, match="an encoder and a decoder"):
        find_layers(T5ForConditionalGeneration(config))


def test_a_model_without_a_list_of_its_layers_is_refused() -> None:
    network = GPT2Model(GPT2Config(vocab_size=32, n_embd=8, n_layer=2, n_head=2, n_positions=8))
    network.h = nn.ModuleList(list(network.h)[:1])
    with pytest.raises(ModelError, match="no list of 2 layers"):
        find_layers(network)


def test_layers_that_lie_in_parts_in_several_lists_are_refused() -> None:
    config = XLMConfig(vocab_size=VOCABULARY, emb_dim=WIDTH, n_layers=3, n_heads=2)
    with pytest.raises(ModelError, match=r"several lists of 3 parts: attentions, layer_norm1, ffns, layer_norm2"):
        find_layers(XLMModel(config))


def test_layers_of_several_classes_are_one_list(small: SmallModels) -> None:
    classes = {type(layer).__name__ for layer in small("jamba").layers}
    assert classes == {"JambaMambaDecoderLayer", "JambaAttentionDecoderLayer"}


def test_a_tower_for_images_with_as_many_layers_is_not_taken_for_the_text(small: SmallModels) -> None:
    model = small("git")
    assert model.layers_name == "git.encoder.layer"
    tower = model.network.get_submodule("git.image_encoder.vision_model.encoder.layers")
    assert len(list(tower.children())) == model.num_layers


def test_a_layer_without_an_mlp_says_what_it_consists_of(small: SmallModels) -> None:
    with pytest.raises(ModelError, match=r"mlp_out was not found in MambaBlock, which consists of norm, mixer"):
        small("mamba").locate(Site(1, HookPoint.MLP_OUT))
