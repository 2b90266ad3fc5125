"""Text as tokens: packed, split, cached."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from saetui.activations import tokens as tokens_module
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import TokenProgress
from saetui.errors import HomeError, InvalidInput
from saetui.formats.caches import TokenManifest
from tests.activations.preparing import LINES, Preparer, jsonl, write


def test_contexts_are_full_begin_with_the_beginning_and_separate_documents(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / "data.jsonl", jsonl()))
    tokens = data.read(np.arange(data.contexts))
    assert tokens.shape == (data.contexts, 8)
    assert bool((tokens[:, 0] == 0).all())
    # 39 separators between 40 documents; the last few tokens may have been cut off.
    assert 36 <= int((tokens[:, 1:] == 0).sum()) <= 39
    assert data.train_tokens + data.held_out_tokens == int(data.keep(tokens).sum())
    plain = prepare(tmp_path / "data.jsonl", begin=False)
    assert plain.read(np.array([0]))[0, 0] != 0
    assert plain.key != data.key


def test_a_context_is_what_the_tokenizer_makes_of_the_text(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / "data.txt", " ".join(LINES)), begin=False)
    expected = prepare.tokenizer(" ".join(LINES), add_special_tokens=False)["input_ids"]
    assert data.read(np.arange(data.contexts)).flatten().tolist() == expected[: data.contexts * 8]


def test_a_vocabulary_with_holes_keeps_its_large_ids(tmp_path: Path) -> None:
    words = WordLevel({"[UNK]": 0, "cat": 1, "river": 70_000}, unk_token="[UNK]")
    backend = Tokenizer(words)
    backend.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")  # type: ignore[no-untyped-call]
    prepare = Preparer(tokenizer, tmp_path / "cache")
    data = prepare(write(tmp_path / "data.txt", "cat river " * 20))
    assert data.read(np.array([0])).tolist() == [[1, 70_000] * 4]
    assert data.manifest.largest_token == 70_000


def test_train_and_held_out_share_no_context_and_both_have_some(prepare: Preparer, tmp_path: Path) -> None:
    for count in (3, 40, 4000):
        text = " ".join(str(number) for number in range(count * 6))
        data = prepare(write(tmp_path / f"{count}.txt", text))
        assert len(data.train) and len(data.held_out)
        assert sorted([*data.train, *data.held_out]) == list(range(data.contexts))
        assert len(data.held_out) <= max(8, 0.08 * data.contexts)


def test_the_tokens_that_are_not_special_are_counted_when_they_are_written(prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / "a.jsonl", "".join(json.dumps({"text": line}) + "\n" for line in LINES)))
    tokens = data.read(np.arange(data.contexts))
    keep = data.keep(tokens)
    assert torch.equal(keep[:, 1:], tokens[:, 1:] != 0)
    assert data.kept.tolist() == keep.sum(1).tolist()
    assert set(data.kept) != {7}, "some tokens are special"
    assert data.train_tokens == int(keep[data.train].sum())
    assert data.held_out_tokens == int(keep[data.held_out].sum())


def test_tokens_that_were_read_do_not_stay_in_the_process(tmp_path: Path) -> None:
    contexts, length = 1 << 16, 512
    path = tmp_path / "tokens.bin"
    np.arange(contexts * length, dtype=np.uint16).tofile(path)
    manifest = TokenManifest(contexts, length, "uint16", 1, 0, contexts * length, 2**16 - 1, "")
    data = TokenDataset("large", path, manifest, (), cached=True)

    def mapped() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("RssFile:")[2].split()[0])

    before = mapped()
    order = np.random.default_rng(0).permutation(contexts)
    for start in range(0, contexts, 1024):
        part = order[start : start + 1024]
        assert data.read(part)[:, 0].equal(torch.from_numpy(part * length % 2**16))
    assert mapped() - before < 8 * 1024, "kiB, of 65,536 that were read"


@pytest.mark.parametrize("begin", [True, False])
def test_the_first_position_of_a_context_is_never_kept(begin: bool, prepare: Preparer, tmp_path: Path) -> None:
    data = prepare(write(tmp_path / "data.txt", " ".join(LINES)), begin=begin)
    tokens = data.read(np.arange(data.contexts))
    assert bool((tokens[:, 0] == 0).all()) == begin
    assert data.keep(tokens).tolist() == [[False] + [True] * 7] * data.contexts
    assert data.train_tokens + data.held_out_tokens == 7 * data.contexts


def test_tokens_kept_under_an_older_rule_are_not_taken_for_new_ones(
    prepare: Preparer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "data.txt", " ".join(LINES))
    with monkeypatch.context() as before:
        before.setattr(tokens_module, "_LAYOUT", "saetui tokens 3")
        old = prepare(source)
    new = prepare(source)
    assert not new.cached
    assert new.path != old.path
    assert (prepare(source).cached, old.path.exists()) == (True, True)


def test_text_is_tokenised_once(prepare: Preparer, tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", jsonl())
    made, found = prepare(source), prepare(source)
    assert (made.cached, found.cached) == (False, True)
    assert found.manifest == made.manifest


def test_the_cache_goes_by_content_not_by_name_or_date(prepare: Preparer, tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", jsonl())
    made = prepare(source)
    moved = tmp_path / "elsewhere.jsonl"
    shutil.copy(source, moved)
    os.utime(moved, (1, 1))
    assert prepare(moved).cached
    stat = source.stat()
    source.write_text(jsonl().replace("cat", "dog"))
    os.utime(source, (stat.st_atime, stat.st_mtime))
    changed = prepare(source)
    assert not changed.cached
    assert changed.key != made.key
    assert prepare(moved, context_length=9).key != made.key


@pytest.mark.parametrize("damage", ["flip", "cut", "manifest", "flip in the manifest", "no manifest"])
def test_a_damaged_entry_is_made_again(damage: str, prepare: Preparer, tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", jsonl())
    made = prepare(source)
    text = prepare.text(made)
    tokens = bytearray(made.path.read_bytes())
    if damage == "flip":
        tokens[5] ^= 1
        made.path.write_bytes(tokens)
    elif damage == "cut":
        made.path.write_bytes(tokens[:-2])
    elif damage == "flip in the manifest":
        manifest = made.path.parent / "manifest.json"
        content = manifest.read_text()
        manifest.write_text(content.replace('"documents": 40', '"documents": 50'))
        assert manifest.read_text() != content
    elif damage == "manifest":
        (made.path.parent / "manifest.json").write_text("{}")
    else:
        (made.path.parent / "manifest.json").unlink()
    again = prepare(source)
    assert not again.cached
    assert prepare.text(again) == text


def test_what_a_killed_process_left_is_cleared_away(prepare: Preparer, tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", jsonl())
    made = prepare(source)
    stale = made.path.parent.parent / f".{made.key}.killed"
    made.path.parent.rename(stale)
    assert not prepare(source).cached
    assert not stale.exists()


def test_progress_is_told_by_stage_up_to_the_whole(prepare: Preparer, tmp_path: Path) -> None:
    source = write(tmp_path / "data.jsonl", jsonl() + "\nbroken")
    prepare(source)
    assert [step.stage for step in prepare.seen] == sorted(step.stage for step in prepare.seen)
    assert {step.total for step in prepare.seen} == {source.stat().st_size}
    assert prepare.seen[-1] == TokenProgress("tokenising", source.stat().st_size, source.stat().st_size, 40, 1)


def test_less_than_two_contexts_are_refused(prepare: Preparer, tmp_path: Path) -> None:
    message = prepare.refused(write(tmp_path / "a.txt", "the cat runs"))
    assert "less than one context to train on and one to evaluate on" in message


def test_a_context_of_one_token_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="context length of 1"):
        prepare(write(tmp_path / "a.txt", "the cat"), context_length=1)


def test_a_cache_directory_that_cannot_be_made_is_refused(prepare: Preparer, tmp_path: Path) -> None:
    prepare.cache = write(tmp_path / "file", "") / "cache"
    with pytest.raises(HomeError, match="cannot be kept"):
        prepare(write(tmp_path / "data.jsonl", jsonl()))
