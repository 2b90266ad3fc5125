"""Which tokens carry no text, and what contexts begin with, family by family."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from saetui.activations.models import LanguageModel
from saetui.activations.vocabulary import begin_id, carries_text, prepends_bos, separator_id, special_ids


@dataclass(frozen=True)
class Family:
    """How a family's tokenizer is saved, and what follows: names of tokens, None where there is none.

    Attributes:
        tokens: those that tokenizer.json marks as special.
        named: the fields of tokenizer_config.json.
        template: what the post-processor makes of a text A.
        begin: what contexts begin with.
        separator: what stands between documents.
        prepends_bos: whether TransformerLens and SAELens would call the beginning BOS.
    """

    tokens: tuple[str, ...]
    begin: str | None
    separator: str | None
    prepends_bos: bool
    named: dict[str, str | bool] = field(default_factory=dict)
    template: str | None = None


END = "<|endoftext|>"
CHAT = (END, "<|im_start|>", "<|im_end|>")
LLAMA_3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>")
FAMILIES = {
    "GPT-2": Family((END,), END, END, True, {"bos_token": END, "eos_token": END}),
    "Pythia": Family((END,), END, END, True, {"bos_token": END, "eos_token": END, "add_bos_token": False}),
    "OLMo": Family((END,), END, END, True, {"eos_token": END}),
    "Qwen base": Family(CHAT, END, END, True, {"eos_token": END, "add_bos_token": False}),
    "Qwen chat": Family(CHAT, END, END, False, {"eos_token": "<|im_end|>", "pad_token": END}),
    "SmolLM2 chat": Family(CHAT, END, END, False, {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}),
    "Yi": Family(
        ("<|startoftext|>", END),
        END,
        END,
        False,
        {"bos_token": "<|startoftext|>", "eos_token": END, "add_bos_token": False},
    ),
    "Llama 2": Family(("<s>", "</s>"), "<s>", "</s>", True, {"bos_token": "<s>", "eos_token": "</s>"}, "<s> $A"),
    "Llama 3 chat": Family(
        LLAMA_3,
        "<|begin_of_text|>",
        "<|end_of_text|>",
        True,
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"},
        "<|begin_of_text|> $A",
    ),
    "OPT": Family(("<pad>", "</s>"), "</s>", "</s>", True, {"bos_token": "</s>", "eos_token": "</s>"}, "</s> $A"),
    "BERT": Family(
        ("[CLS]", "[SEP]"), "[CLS]", "[SEP]", False, {"cls_token": "[CLS]", "sep_token": "[SEP]"}, "[CLS] $A [SEP]"
    ),
    "T5": Family(("</s>",), None, "</s>", False, {"eos_token": "</s>"}, "$A </s>"),
    "none": Family((), None, None, False),
}


def saved(family: Family, directory: Path) -> PreTrainedTokenizerFast:
    """The family's tokenizer as a user loads it."""
    letters = {character: number for number, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(letters, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in family.tokens])
    if family.template is not None:
        numbers = [(token, backend.token_to_id(token)) for token in family.tokens]
        backend.post_processor = processors.TemplateProcessing(single=family.template, special_tokens=numbers)
    PreTrainedTokenizerFast(tokenizer_object=backend, **family.named).save_pretrained(directory)  # type: ignore[no-untyped-call]
    config = directory / "tokenizer_config.json"
    # Saving may leave out what the family's own file says.
    config.write_text(json.dumps(json.loads(config.read_text()) | family.named))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


@pytest.mark.parametrize("name", FAMILIES)
def test_contexts_begin_with_what_the_family_was_trained_to_see(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    tokenizer = saved(family, tmp_path)

    def named(token_id: int | None) -> str | None:
        return None if token_id is None else str(tokenizer.convert_ids_to_tokens(token_id))

    assert named(begin_id(tokenizer)) == family.begin
    assert named(separator_id(tokenizer)) == family.separator
    assert prepends_bos(tokenizer) == family.prepends_bos


@pytest.mark.parametrize("name", FAMILIES)
def test_every_token_that_the_tokenizer_marks_as_special_is_special(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    tokenizer = saved(family, tmp_path)
    assert {tokenizer.convert_ids_to_tokens(token_id) for token_id in special_ids(tokenizer)} == set(family.tokens)


def test_a_model_agrees_with_its_tokenizer(gpt2: LanguageModel) -> None:
    assert gpt2.special_ids == special_ids(gpt2.tokenizer)
    assert gpt2.separator_id == separator_id(gpt2.tokenizer)


def test_an_unknown_token_is_no_end_of_a_document(tmp_path: Path) -> None:
    tokenizer = saved(Family(("[UNK]",), None, None, False, {"unk_token": "[UNK]"}), tmp_path)
    assert begin_id(tokenizer) is None
    assert separator_id(tokenizer) is None


def test_text_is_carried_everywhere_but_at_special_tokens_and_the_first_position() -> None:
    tokens = torch.tensor([[5, 5, 1, 6], [1, 6, 5, 5]])
    assert carries_text(tokens, (1,)).tolist() == [[False, True, False, True], [False, True, True, True]]
    assert carries_text(tokens[:0], (1,)).shape == (0, 4)
    assert carries_text(tokens, ()).tolist() == [[False, True, True, True]] * 2
