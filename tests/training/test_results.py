"""What an export says of the contexts that it was trained on is what they are."""

from __future__ import annotations

import json.decoder
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from saetui.activations import prepare_tokens
from saetui.bundled import TINY
from saetui.training.results import begins_with_bos


@pytest.mark.parametrize(("bos", "begins"), [("<|endoftext|>", True), (None, False)])
def test_contexts_begin_with_a_bos_only_where_there_is_one(bos: str | None, begins: bool, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    tokenizer.bos_token = bos
    text = tmp_path / "text.txt"
    text.write_text(Path(json.decoder.__file__).read_text())
    for asked in (True, False):
        data = prepare_tokens(str(text), tokenizer, context_length=32, cache_directory=tmp_path, begin_contexts=asked)
        assert begins_with_bos(data, tokenizer) == (begins and asked)
