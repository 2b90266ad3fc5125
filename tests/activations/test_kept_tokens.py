"""Tokens that are asked for by their key, and not by what a text gives now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from saetui.activations import ActivationExtractor, HookPoint, Site, tokens
from saetui.activations.cache_layout import find_entry
from saetui.activations.models import LanguageModel
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import OtherTokens, find_tokens, prepare_tokens

from .preparing import LINES, Preparer, write


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write(tmp_path / "text.txt", "\n".join(LINES))


def test_tokens_are_found_by_their_key_when_their_text_is_gone(prepare: Preparer, text: Path) -> None:
    made = prepare(text)
    text.unlink()
    found = find_tokens(made.key, made.special_ids, prepare.cache)
    assert found is not None
    every = np.arange(made.contexts)
    assert found.read(every).equal(made.read(every))
    assert (found.key, found.manifest, found.train_tokens) == (made.key, made.manifest, made.train_tokens)


def test_tokens_that_are_not_there_or_damaged_are_not_found_and_leave_nothing(prepare: Preparer, text: Path) -> None:
    made = prepare(text)
    assert find_tokens("0" * 32, made.special_ids, prepare.cache) is None
    content = bytearray(made.path.read_bytes())
    content[0] ^= 1
    made.path.write_bytes(content)
    assert find_tokens(made.key, made.special_ids, prepare.cache) is None
    entries = [path.name for path in (prepare.cache / "tokens").iterdir()]
    assert sorted(entries) == sorted([made.key, "locks"])


def test_a_text_that_would_give_other_tokens_than_those_asked_for_is_not_tokenised(
    prepare: Preparer, text: Path
) -> None:
    made = prepare(text)

    def wanted() -> TokenDataset:
        return prepare_tokens(
            str(text), prepare.tokenizer, context_length=8, cache_directory=prepare.cache, key=made.key
        )

    assert wanted().cached
    write(text, "\n".join(reversed(LINES)))
    with pytest.raises(OtherTokens, match=str(text)):
        wanted()
    assert len(list((prepare.cache / "tokens").glob("[0-9a-f]*"))) == 1


def test_neither_tokens_nor_activations_that_were_cut_another_way_are_taken(
    prepare: Preparer, text: Path, gpt2: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(0, HookPoint.RESID_POST)
    extractor = ActivationExtractor(gpt2, [site])
    now = prepare(text)
    monkeypatch.setattr(tokens, "_LAYOUT", "saetui tokens, cut as before")
    before = prepare(text)
    assert now.key != before.key
    places = [find_entry(tmp_path, extractor, site, dataset).directory for dataset in (now, before, now)]
    assert places[0] == places[2] != places[1]
