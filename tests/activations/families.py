"""Small random models of the families of transformers, with a tokenizer, saved as their users save them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

OLD = transformers.__version__.startswith("4.")
"""Whether the families are those of transformers 4, whose layers return tuples and which has fewer of them."""
VOCABULARY = 320
LAYERS = 3
WIDTH = 16
END = "<|endoftext|>"

_TEXT = [
    f"the {noun} {verb} over the {place} and {number} times"
    for noun in ("cat", "dog", "bird")
    for verb in ("jumps", "runs", "flies")
    for place in ("river", "house", "hill")
    for number in range(5)
]


def make_tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_TEXT, trainer)
    # transformers leaves its constructor untyped.
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=END, eos_token=END)  # type: ignore[no-untyped-call]


# The families' configurations share names, not one signature that a checker could hold them to.
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
_WIDE = _SHAPE | {"intermediate_size": 32}
_GROUPED = _WIDE | {"num_key_value_heads": 1, "head_dim": 8}

MAKERS: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=2,
            n_positions=64,
            bos_token_id=0,
            eos_token_id=0,
        )
    ),
    "neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_WIDE)),
    "neox_sequential": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_WIDE, use_parallel_residual=False)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_GROUPED)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_GROUPED, sliding_window=4)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_WIDE, num_key_value_heads=1)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_GROUPED)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**_GROUPED, sliding_window=4)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**_GROUPED, sliding_window=4)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**_WIDE)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**_SHAPE, ffn_dim=32, word_embed_proj_dim=WIDTH)),
    "bloom": lambda: BloomForCausalLM(
        BloomConfig(vocab_size=VOCABULARY, hidden_size=WIDTH, n_layer=LAYERS, n_head=2, bos_token_id=0, eos_token_id=0)
    ),
    "bert": lambda: BertForMaskedLM(BertConfig(**_WIDE)),
}


def save_model(family: str, directory: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    torch.manual_seed(0)
    network = MAKERS[family]()
    with torch.no_grad():
        # Fresh models have norms of weight one and biases of zero, which would hide a wrong tensor.
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
