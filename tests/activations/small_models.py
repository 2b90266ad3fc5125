"""A small random model of any family of the installed transformers, saved as its users save one."""

from __future__ import annotations

import dataclasses
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto import modeling_auto

from saetui.activations.model_loading import head_class

from .families import VOCABULARY

LAYERS = 4
WIDTH = 32
LARGEST = 20_000_000
"""More parameters than this are not small: a size of the family has a name that is not known here."""
_LISTS = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MASKED_LM", "MULTIMODAL_LM")

# The names that families have for their sizes. A configuration takes those that it knows.
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "emb_dim", "embed_dim", "word_embed_proj_dim"), WIDTH),
    **dict.fromkeys(("embedding_size", "lru_width", "hidden_dim", "d_embed", "attention_hidden_size"), WIDTH),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), LAYERS
    ),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "d_ff", "dff", "d_inner", "ffn_hidden_size"), 48),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim", "dim_ff", "shared_expert_intermediate_size"), 48),
    **dict.fromkeys(
        ("moe_intermediate_size", "expert_hidden_size", "shared_intermediate_size", "intermediate_size_mlp"), 16
    ),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads",), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "multi_query_group_num"), 2),
    **dict.fromkeys(("head_dim", "attention_head_dim", "kv_channels", "d_kv", "dim_head"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(
        ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_top_k", "moe_topk", "top_k_experts"), 2
    ),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts"), 1),
    **dict.fromkeys(
        ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "rotary_dim", "kv_lora_rank", "q_lora_rank"), 8
    ),
    "qk_head_dim": 16,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "image_size": 28,
    "patch_size": 14,
    "depth": 2,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "mamba_d_state": 8,
    "state_size": 8,
    "text_hidden_size": WIDTH,
    "projection_dim": WIDTH,
    "codebook_dim": WIDTH,
    "unpadded_vocab_size": VOCABULARY,
    "num_layers_per_stack": 1,
    "out_hidden_size": WIDTH,
}
"""Sizes, by the names that families have for them."""


UNGROUPED = {"num_key_value_heads": 4}
THREE_AXES = {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4}}
OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"mamba_n_heads": 8, "attn_layer_indices": [1]},
    "bert-generation": {"is_decoder": True},
    "dots3_note": UNGROUPED,
    "dots3_note_text": UNGROUPED,
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [16, 16]},
    "esmc": UNGROUPED,
    "falcon_h1": {"mamba_n_heads": 8, "mamba_d_ssm": 64, "mamba_d_head": 8},
    "glm4v_moe_text": {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 0], "rope_theta": 1e4}},
    "glm5_next_text": UNGROUPED,
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granite": {"residual_multiplier": 0.22},
    "granitemoe": {"residual_multiplier": 0.22},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "lfm2_moe": {"layer_types": ["conv", "conv", "full_attention", "conv"]},
    "minimax": {"mlp_alpha_factor": 3.5, "full_attn_alpha_factor": 3.5, "linear_attn_alpha_factor": 3.5},
    "granitemoehybrid": {"mamba_n_heads": 8, "mamba_d_head": 8, "layer_types": ["mamba", "attention"] * 2},
    **dict.fromkeys(
        ("qwen2_vl_text", "qwen2_5_vl_text", "glm4v_text", "glm46v_text", "glm_ocr_text", "glmga_text"), THREE_AXES
    ),
    "zamba": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_d_state": 8, "attention_head_dim": 16},
    "zamba2": {
        "mamba_ngroups": 1,
        "n_mamba_heads": 8,
        "mamba_headdim": 8,
        "layers_block_type": ["mamba", "hybrid"] * 2,
    },
}
"""What a family needs beside or instead."""


def all_families() -> list[str]:
    """All types of models of the installed transformers that have a language modelling head."""
    return sorted({kind for name in _LISTS for kind in getattr(modeling_auto, f"MODEL_FOR_{name}_MAPPING_NAMES", {})})


def small_settings(family: type[PretrainedConfig], kind: str) -> dict[str, Any]:
    """Settings of a family's configuration that make its model small."""
    default = family()
    if dataclasses.is_dataclass(family):
        known = {field.name for field in dataclasses.fields(family)}
    else:
        known = set(signature(family.__init__).parameters)
    settings = {name: value for name, value in SMALL.items() if name in known}
    renamed = {own: SMALL[name] for name, own in family.attribute_map.items() if name in SMALL and own in known}
    settings = renamed | settings
    if "qk_rope_head_dim" in known:  # attention through a latent has sizes of its own
        settings.pop("head_dim", None)
        settings.update({"num_key_value_heads": 4} if "num_key_value_heads" in known else {})
    for name in known - set(settings):
        value = getattr(default, name, None)
        if name in family.sub_configs and isinstance(value, PretrainedConfig):
            settings[name] = {"model_type": value.model_type} | small_settings(type(value), value.model_type)
        elif isinstance(value, list) and len(value) == getattr(default, "num_hidden_layers", None):
            settings[name] = value[:LAYERS]
        elif name == "rope_parameters" and isinstance(value, dict) and "mrope_section" in value:
            settings[name] = value | {"mrope_section": [2, 1, 1]}
    return settings | OVERRIDES.get(kind, {})


def save_small_model(kind: str, directory: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Saves a small random model of a family."""
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**small_settings(CONFIG_MAPPING[kind], kind))
    network: PreTrainedModel = head_class(config).from_config(config)
    with torch.no_grad():
        # Fresh models have norms of weight one and biases of zero, which would hide a wrong tensor.
        for parameter in network.parameters():
            if parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn_like(parameter))
    if network.num_parameters() > LARGEST:
        raise ValueError(f"{network.num_parameters()} parameters")
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
