"""Texts for the tests of datasets, and what prepares them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerFast

from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import TokenProgress, prepare_tokens
from saetui.errors import DatasetError

LINES = [f"the cat {number} jumps over the river" for number in range(40)]


class Preparer:
    """Prepares datasets at a context length of 8, with a cache of its own."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, cache: Path) -> None:
        self.tokenizer = tokenizer
        self.cache = cache
        self.seen: list[TokenProgress] = []

    def __call__(
        self, source: Path | str, context_length: int = 8, text_field: str = "text", begin: bool = True
    ) -> TokenDataset:
        return prepare_tokens(
            str(source),
            self.tokenizer,
            context_length=context_length,
            cache_directory=self.cache,
            text_field=text_field,
            begin_contexts=begin,
            progress=self.seen.append,
        )

    def refused(self, source: Path | str, text_field: str = "text") -> str:
        """The message; nothing that is half made stays behind."""
        before = self._files()
        with pytest.raises(DatasetError) as caught:
            self(source, text_field=text_field)
        assert caught.value.suggestion
        assert self._files() == before
        return caught.value.message

    def _files(self) -> set[Path]:
        return {path for path in self.cache.rglob("*") if path.is_file() and path.parent.name != "locks"}

    def text(self, data: TokenDataset) -> str:
        """All text of a dataset, with separators and beginnings left out."""
        tokens = data.read(np.arange(data.contexts))
        return str(self.tokenizer.decode(tokens[data.keep(tokens)].tolist()))


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    else:
        path.write_text(content)
    return path


def rows(field: str = "text") -> list[dict[str, object]]:
    return [{"id": number, field: line} for number, line in enumerate(LINES)]


def jsonl(field: str = "text") -> str:
    return "\n".join(json.dumps(row) for row in rows(field))


def csv_text(field: str = "text") -> str:
    return f"id,{field}\n" + "".join(f'{number},"{line}"\n' for number, line in enumerate(LINES))


CONTENTS = {".jsonl": jsonl(), ".json": json.dumps(rows(), indent=2), ".csv": csv_text()}
