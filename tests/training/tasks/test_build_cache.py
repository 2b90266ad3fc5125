"""`saetui cache build` refuses what a training would refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from saetui.catalog.caches import list_caches
from saetui.errors import DatasetError
from saetui.home import Home
from saetui.training.tasks.build_cache import build
from tests.training.runs import small_spec


def test_text_of_special_tokens_alone_leaves_no_entry(home: Home, tmp_path: Path) -> None:
    text = tmp_path / "special.jsonl"
    text.write_text("".join(json.dumps({"text": "<|endoftext|>" * 200}) + "\n" for _ in range(40)))
    with pytest.raises(DatasetError, match="consists of special tokens alone"):
        build({"spec": small_spec(text)})
    assert list_caches(home.cache) == []
