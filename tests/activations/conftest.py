from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING, PreTrainedTokenizerFast

from saetui.activations.models import LanguageModel, open_model
from saetui.activations.token_dataset import TokenDataset
from saetui.activations.tokens import prepare_tokens

from .families import make_tokenizer, save_model
from .preparing import Preparer
from .small_models import save_small_model

SmallModels = Callable[[str], LanguageModel]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer()


@pytest.fixture(scope="session")
def family(
    tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], LanguageModel]:
    """Opens a small random model of a family, saved once."""

    @cache
    def opened(name: str) -> LanguageModel:
        return open_model(str(save_model(name, tmp_path_factory.mktemp(name), tokenizer)), device="cpu")

    return opened


@pytest.fixture(scope="session")
def small(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> SmallModels:
    """Opens a small random model of any family of transformers, saved once."""

    @cache
    def opened(name: str) -> LanguageModel:
        if name not in CONFIG_MAPPING:
            pytest.skip(f"transformers {transformers.__version__} has no {name}")
        directory = tmp_path_factory.mktemp(name)
        save_small_model(name, directory, tokenizer)
        return open_model(str(directory), device="cpu")

    return opened


@pytest.fixture(scope="session")
def gpt2(family: Callable[[str], LanguageModel]) -> LanguageModel:
    return family("gpt2")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of 60 documents whose words are drawn at random."""
    directory = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    words = ["the", "cat", "dog", "bird", "jumps", "runs", "flies", "river", "house", "hill", "x", "yz"]
    for number in range(60):
        (directory / f"{number:02}.txt").write_text(" ".join(rng.choice(words, size=int(rng.integers(60, 160)))))
    return directory


@pytest.fixture(scope="session")
def dataset(corpus: Path, tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    return prepare_tokens(str(corpus), tokenizer, context_length=16, cache_directory=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def prepare(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Preparer:
    return Preparer(tokenizer, tmp_path / "cache")
