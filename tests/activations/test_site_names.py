"""Others' names of places are understood, or refused with what they mean; never taken for another tensor."""

from __future__ import annotations

import pytest

from saetui.activations.site_names import read_site_name
from saetui.errors import InvalidInput

UNDERSTOOD = {
    "layers.1": "layer_1.resid_post",
    "model.layers.1": "layer_1.resid_post",
    "model.layers.1.output": "layer_1.resid_post",
    "model.language_model.layers.1": "layer_1.resid_post",
    "transformer.h.1": "layer_1.resid_post",
    "h.1": "layer_1.resid_post",
    "gpt_neox.layers.1": "layer_1.resid_post",
    "bert.encoder.layer.1": "layer_1.resid_post",
    "transformer.h.1.input": "layer_1.resid_pre",
    "blocks.1.hook_resid_post": "layer_1.resid_post",
    "blocks.1.hook_out": "layer_1.resid_post",
    "blocks.1.hook_resid_pre": "layer_1.resid_pre",
    "blocks.1.hook_in": "layer_1.resid_pre",
    "blocks.1.hook_mlp_out": "layer_1.mlp_out",
    "blocks.1.mlp.hook_out": "layer_1.mlp_out",
    "blocks.1.mlp.hook_in": "layer_1.mlp_in",
    "blocks.1.hook_attn_out": "layer_1.attn_out",
    "blocks.1.attn.hook_out": "layer_1.attn_out",
    "layers.1.mlp": "layer_1.mlp_out",
    "layers.1.mlp.input": "layer_1.mlp_in",
    "transformer.h.1.attn": "layer_1.attn_out",
    "model.layers.17.self_attn": "layer_17.attn_out",
    "model.layers.7.pre_feedforward_layernorm.output": "layer_7.mlp_in",
    "model.layers.7.post_feedforward_layernorm.output": "layer_7.mlp_out",
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_the_names_of_the_field_are_understood(name: str) -> None:
    found = read_site_name(name)
    assert found is not None and found.site.name == UNDERSTOOD[name]
    assert not found.normalised


def test_a_norm_s_hook_is_known_to_lack_its_weight() -> None:
    found = read_site_name("blocks.1.ln2.hook_normalized")
    assert found is not None and found.site.name == "layer_1.mlp_in" and found.normalised


def test_the_mlp_that_a_transcoder_stands_in_for_is_read_at_its_input() -> None:
    found = read_site_name("layers.1.mlp", transcodes=True)
    assert found is not None and (found.site.name, found.side) == ("layer_1.mlp_in", "input")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("blocks.1.hook_resid_mid", "between attention and MLP"),
        ("blocks.1.hook_mlp_in", "not the MLP's input"),
        ("blocks.1.attn.hook_z", "heads"),
        ("model.layers.7.self_attn.o_proj.input", "heads"),
    ],
)
def test_a_place_that_is_not_offered_says_what_it_is(name: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        read_site_name(name)
    assert name in refused.value.message and refused.value.suggestion


@pytest.mark.parametrize(
    "name", ["", "mine", "hook_embed", "blocks.1.hook_else", "layers.x", "lm_head", "layers.1.mlp.gate"]
)
def test_other_names_are_not_guessed_at(name: str) -> None:
    assert read_site_name(name) is None
