"""The script that makes the bundled model, in a small setting, and the models that it is measured against."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from saetui.bundled.making.__main__ import main, make_model
from saetui.bundled.making.evaluation import model_nats
from saetui.bundled.making.model import Recipe, learning_rate, save_model, train_model
from saetui.bundled.making.ngrams import TrigramModel, UnigramModel
from saetui.bundled.making.text import encode_documents, is_held_out, read_stdlib, train_tokenizer
from saetui.errors import DatasetError

SMALL = Recipe(vocabulary=400, context=32, width=16, layers=2, heads=2, steps=6, batch=4, warmup_steps=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Leave the other cores to the other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def documents(count: int = 12, vocabulary: int = 20) -> list[torch.Tensor]:
    """Documents of a second-order Markov source: the next token is mostly the sum of the last two."""
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(count):
        tokens = [0, 1, 2]
        for _ in range(200):
            noise = int(torch.randint(3, (), generator=generator)) if len(tokens) % 2 else 0
            tokens.append(1 + (tokens[-1] + tokens[-2] + noise) % (vocabulary - 2))
        made.append(torch.tensor(tokens))
    return made


def test_a_model_is_made_saved_measured_and_loads(tmp_path: Path) -> None:
    figures = make_model(tmp_path / "made", SMALL, files=6)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "made", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "made", local_files_only=True)
    assert model.config.n_layer == SMALL.layers
    assert tokenizer.decode(tokenizer("def f(): pass")["input_ids"]) == "def f(): pass"
    assert figures.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert 0 < figures.trigram < figures.unigram
    # Six steps from nothing are worth little, but not less than knowing nothing at all.
    assert figures.model < math.log2(SMALL.vocabulary) * figures.held_out_tokens / figures.held_out_bytes
    assert f"{figures.model:.3f}" in (tmp_path / "made" / "MODEL_CARD.md").read_text("utf-8")


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    text = read_stdlib(limit=3)
    weights = []
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        recipe = dataclasses.replace(SMALL, seed=seed)
        tokenizer = train_tokenizer(text.training, recipe.vocabulary, recipe.context)
        tokens = torch.cat(encode_documents(text.training, tokenizer))
        save_model(train_model(recipe, tokens, tokenizer, print), tokenizer, tmp_path / name)
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_text_shorter_than_a_batch_is_an_error_with_its_length() -> None:
    text = read_stdlib(limit=1)
    tokenizer = train_tokenizer(text.training, SMALL.vocabulary, SMALL.context)
    with pytest.raises(DatasetError, match="100 tokens"):
        train_model(SMALL, torch.ones(100, dtype=torch.int64), tokenizer, print)


def test_a_saved_model_is_measured_again_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_model(tmp_path, SMALL, files=3)
    assert main(["--evaluate", str(tmp_path), "--files", "3", "--threads", "1"]) == 0
    table = capsys.readouterr().out
    assert "bits a byte" in table and "trigram" in table and "layer_0.resid_post" in table


def test_a_directory_without_a_model_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--evaluate", str(tmp_path), "--threads", "1"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--out", str(tmp_path / "file" / "below"), "--steps", "1", "--threads", "1"]) == 1
    assert "below" in capsys.readouterr().err


def test_the_learning_rate_rises_to_its_highest_and_falls_to_nearly_nothing() -> None:
    rates = [learning_rate(Recipe(steps=100, warmup_steps=10), step) for step in range(100)]
    assert max(rates) == Recipe.learning_rate == rates[9]
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.02 * Recipe.learning_rate


def test_held_out_files_are_chosen_by_name_alone_and_are_about_a_sixteenth() -> None:
    chosen = [is_held_out(f"package/module_{number}.py") for number in range(4000)]
    assert is_held_out("ast.py") and not is_held_out("argparse.py")
    assert 0.8 * 4000 / 16 < sum(chosen) < 1.2 * 4000 / 16


def test_no_document_is_both_trained_on_and_held_out() -> None:
    text = read_stdlib()
    shared = {document for document in text.held_out if document.strip()} & set(text.training)
    assert not shared


def test_every_document_begins_with_the_separator_and_comes_back_from_its_tokens() -> None:
    text = read_stdlib(limit=3)
    tokenizer = train_tokenizer(text.training, 300, 32)
    for document, tokens in zip(text.training, encode_documents(text.training, tokenizer), strict=True):
        assert int(tokens[0]) == tokenizer.bos_token_id
        assert tokenizer.decode(tokens[1:]) == document


def test_the_trigram_models_probabilities_sum_to_one_after_seen_and_unseen_pairs() -> None:
    model = TrigramModel(documents(), 20)
    before_last, last, token = torch.meshgrid(*[torch.arange(20)] * 3, indexing="ij")
    sums = model.probabilities(before_last, last, token).sum(dim=-1)
    torch.testing.assert_close(sums, torch.ones(20, 20, dtype=torch.float64))


def test_the_unigram_models_probabilities_sum_to_one() -> None:
    assert float(UnigramModel(documents(), 20).probabilities(torch.arange(20)).sum()) == pytest.approx(1.0)


def test_the_trigram_model_is_kneser_ney_by_hand() -> None:
    # Two documents, "1 2 1 2" and "1 2 3", and one question: what follows (1, 2)?
    given = [torch.tensor([0, 1, 2, 1, 2]), torch.tensor([0, 1, 2, 3])]
    model = TrigramModel(given, 4)
    third, second, first = model.discounts
    # Bigram types: (0,1) (1,2) (2,1) (2,3); the token 1 ends two of them, 2 one, 3 one.
    unigram = (1 - first) / 4 + first * 3 / 4 * 1 / 4
    bigram = (1 - second) / 2 + second * 2 / 2 * unigram
    trigram = (1 - third) / 2 + third * 2 / 2 * bigram
    asked = model.probabilities(torch.tensor(1), torch.tensor(2), torch.tensor(3))
    assert float(asked) == pytest.approx(trigram)


def test_the_trigram_model_predicts_a_source_of_its_own_kind_far_better_than_counting_tokens() -> None:
    fitted, unseen = documents(24)[:20], documents(24)[20:]
    assert TrigramModel(fitted, 20).nats(unseen) < 0.6 * UnigramModel(fitted, 20).nats(unseen)


def test_a_models_loss_over_windows_scores_every_token_but_separators_once() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_positions=16, n_embd=8, n_layer=1, n_head=1))
    with torch.no_grad():
        # With all logits equal each scored token costs log(vocabulary), wherever it stands.
        for parameter in model.parameters():
            parameter.zero_()
    model.train(False)
    for lengths in ((1,), (5,), (16, 17), (15, 1, 40), (8, 8, 8), (24,)):
        some = [torch.cat([torch.tensor([0]), torch.ones(length, dtype=torch.int64)]) for length in lengths]
        assert model_nats(model, some) == pytest.approx(sum(lengths) * math.log(20), rel=1e-4)
