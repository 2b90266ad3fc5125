"""The purposes of a tokenizer's special tokens: which carry no text, which separate documents, which one begins contexts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

_DOCUMENT_ENDS = ("<|endoftext|>", "<|end_of_text|>")
"""The names of tokens that clearly separate documents, in the order of preference."""
_TURNS = frozenset(
    {"<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|eot|>", "<|end|>", "<start_of_turn>", "<end_of_turn>", "<|return|>"}
)
"""Tokens that chat models name as BOS or EOS, but that only conversations contain, and no text of the pretraining."""


def special_ids(tokenizer: PreTrainedTokenizerFast) -> tuple[int, ...]:
    """The tokens that carry no text, in order.

    These are the ones that the configuration names (beginning, end, padding), and all that the tokenizer marks as special:
    Llama 3's headers, Gemma's turns and Qwen's `<|im_start|>` have no field in the configuration, and `all_special_ids` of
    transformers 5 has the named ones alone.
    """
    marked = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tuple(sorted(marked | set(tokenizer.all_special_ids)))


def carries_text(tokens: Tensor, special_ids: Sequence[int]) -> Tensor:
    """Where contexts of tokens (..., T) carry text: False at special tokens and at the first position.

    Most models have an activation of extreme norm at the first position, whatever token is there (Sun et al. 2024, "Massive
    Activations in Large Language Models"). An SAE should not learn it, be scaled by it or be evaluated on it.
    """
    keep = torch.isin(tokens, torch.tensor(special_ids, dtype=torch.int64, device=tokens.device), invert=True)
    keep[..., :1] = False
    return keep


def begin_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token that contexts began with in the model's own training. None where nothing shows it.

    The first of:

    1. The token that the tokenizer puts before a text (`add_bos_token`, or its post-processor's template): BOS for Llama, Gemma,
       Mistral, DeepSeek and OPT, CLS for BERT.
    2. The BOS that the tokenizer names. Not if `add_bos_token` is false and EOS another token (Yi: its BOS is in no training
       text), or if it opens a turn of a chat. GPT-2, GPT-NeoX, Falcon and SmolLM2 name one token as BOS and EOS, which separated
       documents.
    3. CLS.
    4. The token between documents, where its name shows that it is one: Qwen and OLMo have no BOS and were trained with
       `<|endoftext|>` before and after each document (QwenLM/Qwen3, issue 486).
    """
    put = _put_first(tokenizer)
    if put is not None:
        return put
    bos = _usable(tokenizer, tokenizer.bos_token_id)
    if bos is not None and (bos == separator_id(tokenizer) or not _renounces_bos(tokenizer)):
        return bos
    if isinstance(tokenizer.cls_token_id, int):
        return tokenizer.cls_token_id
    return _document_end(tokenizer)


def separator_id(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The token between documents: the end of text (not of a chat's turn), BERT's separator, or BOS. None without any."""
    eos = _usable(tokenizer, tokenizer.eos_token_id)
    if eos is not None:
        return eos
    end = _document_end(tokenizer)
    if end is not None:
        return end
    named = (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.bos_token_id)
    return next((found for found in named if isinstance(found, int)), None)


def prepends_bos(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether contexts begin with the token that TransformerLens and SAELens call BOS: the tokenizer's BOS, or else its EOS."""
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    return bos is not None and begin_id(tokenizer) == bos


def _put_first(tokenizer: PreTrainedTokenizerFast) -> int | None:
    """The special token that the tokenizer itself puts before a text."""
    if tokenizer.init_kwargs.get("add_bos_token") is True and isinstance(tokenizer.bos_token_id, int):
        return tokenizer.bos_token_id
    without, with_special = (
        tokenizer.backend_tokenizer.encode("a", add_special_tokens=special).ids for special in (False, True)
    )
    if (
        len(with_special) > len(without)
        and with_special[:1] != without[:1]
        and with_special[0] in special_ids(tokenizer)
    ):
        return int(with_special[0])
    return None


def _renounces_bos(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer's configuration has `add_bos_token: false`, which transformers 5 does not tell from a missing one."""
    if "add_bos_token" in tokenizer.init_kwargs:
        return tokenizer.init_kwargs["add_bos_token"] is False
    try:
        saved = json.loads((Path(tokenizer.name_or_path) / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # A tokenizer that was made in memory has no file.
    return isinstance(saved, dict) and saved.get("add_bos_token") is False


def _usable(tokenizer: PreTrainedTokenizerFast, token_id: object) -> int | None:
    """The token. None for a chat's token where the vocabulary has a token between documents."""
    if not isinstance(token_id, int):
        return None
    of_chats = tokenizer.convert_ids_to_tokens(token_id) in _TURNS
    return None if of_chats and _document_end(tokenizer) is not None else token_id


def _document_end(tokenizer: PreTrainedTokenizerFast) -> int | None:
    special = set(special_ids(tokenizer))
    found = (tokenizer.backend_tokenizer.token_to_id(name) for name in _DOCUMENT_ENDS)
    return next((token_id for token_id in found if token_id in special), None)
