"""The model that every machine has: small, whole, loaded without a network, and far better than counting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from saetui.bundled import TINY
from saetui.bundled.making.evaluation import model_nats, residual_norms
from saetui.bundled.making.ngrams import TrigramModel, UnigramModel
from saetui.bundled.making.text import END_OF_TEXT, encode_documents, read_stdlib


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Leave the other cores to the other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    """The bundled model, as anyone would load it."""
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(TINY, local_files_only=True)
    loaded.train(False)
    return loaded


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Its tokenizer."""
    loaded: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(TINY, local_files_only=True)
    return loaded


def test_it_is_a_decoder_of_at_least_four_layers_and_one_to_three_million_parameters(model: PreTrainedModel) -> None:
    assert model.config.n_layer >= 4
    assert 1_000_000 <= sum(parameter.numel() for parameter in model.parameters()) <= 3_000_000


def test_its_weights_take_at_most_eight_megabytes() -> None:
    assert (TINY / "model.safetensors").stat().st_size <= 8_000_000


def test_its_files_name_no_directory_of_the_machine_that_made_it() -> None:
    for name in ("config.json", "tokenizer_config.json", "MODEL_CARD.md"):
        text = (TINY / name).read_text("utf-8")
        assert "_name_or_path" not in text
        assert "/tmp" not in text and "/home" not in text and "/root" not in text


def test_both_ways_to_load_the_tokenizer_give_the_same_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    text = f"def f(x):\n    return {{'ключ': x}}  # ∑\n{END_OF_TEXT}import os"
    automatic = AutoTokenizer.from_pretrained(TINY, local_files_only=True)
    assert automatic(text)["input_ids"] == tokenizer(text)["input_ids"]


def test_documents_are_parted_by_the_one_special_token_and_the_model_knows_it(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    assert tokenizer.all_special_tokens == [END_OF_TEXT]
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == model.config.bos_token_id
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert len(tokenizer) == model.config.vocab_size


# The tokenizer keeps no state between texts, so one serves all examples.
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_every_text_comes_back_unchanged(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.slow
def test_on_text_it_never_saw_it_is_far_better_than_a_unigram_and_a_trigram(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = read_stdlib()
    training = encode_documents(text.training, tokenizer)
    held_out = encode_documents(text.held_out[::4], tokenizer)
    unigram = UnigramModel(training, len(tokenizer)).nats(held_out)
    trigram = TrigramModel(training, len(tokenizer)).nats(held_out)
    nats = model_nats(model, held_out)
    assert nats < 0.65 * unigram
    # 0.82 on the text it was trained beside (3.11), 0.90 on that of 3.13, which the trigram alone has read.
    assert nats < 0.95 * trigram


def test_no_position_has_activations_of_another_size(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    text = read_stdlib(limit=8)
    stream = torch.cat(encode_documents(text.held_out, tokenizer))
    for first, second, rest in residual_norms(model, stream):
        assert rest / 3 < first < 3 * rest
        assert rest / 3 < second < 3 * rest
